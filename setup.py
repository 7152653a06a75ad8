"""What setup.cfg cannot say: README.md as a package index shows it, where the files that it links to are missing."""

import re
from pathlib import Path

from setuptools import setup

README = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
RELATIVE_IMAGE = re.compile(r"!\[[^]]*\]\((?!https?:)[^)]+\)\n*")
RELATIVE_LINK = re.compile(r"\[([^]]*)\]\((?!https?:)[^)]+\)")

setup(long_description=RELATIVE_LINK.sub(r"\1", RELATIVE_IMAGE.sub("", README)))

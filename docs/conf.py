"""The documentation as a site, by Sphinx: ``make docs`` builds it, and ``make lint`` fails at any warning of it.

The pages are plain Markdown, as a forge shows it. `site_pages` adds to them what Sphinx alone can know.
"""

import os
import sys
from pathlib import Path

import django

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
django.setup()

from ayb_realtime import __version__  # noqa: E402 - of this checkout

project = "ayb_realtime"
html_title = f"ayb_realtime {__version__}"
extensions = ["myst_parser", "site_pages"]
# The anchors that a forge gives to headings.
myst_heading_anchors = 4
highlight_language = "text"
# Caddy's and HAProxy's files, and code with an ellipsis, stay as they are.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]

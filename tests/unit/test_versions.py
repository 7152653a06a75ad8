"""A released version is in the changelog, and has the dump from which later ones are tested to upgrade."""

import re

from ayb_realtime import __version__
from tests.acceptance.documents import CHECKOUT
from tests.upgrade import DUMPS


def test_newest_version_of_the_changelog_is_the_package_s_and_each_has_a_dump() -> None:
    released = re.findall(r"^## (\d+\.\d+\.\d+)", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    dumps = {path.stem for path in DUMPS.glob("*.sql")}
    assert {*released[:1], __version__} == {__version__}
    assert {*released, __version__} == dumps

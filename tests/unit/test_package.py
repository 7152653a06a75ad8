"""The installed package: the wheel in tox, otherwise the checkout of these tests."""

import json
import os
import re
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import ayb_realtime
import tests

PACKAGE = Path(ayb_realtime.__file__).resolve().parent
BESIDE_THE_TESTS = Path(tests.__file__).resolve().parent.parent


def test_package_comes_from_where_it_should() -> None:
    if "TOX_ENV_NAME" in os.environ:
        assert PACKAGE.parent.name == "site-packages"
        assert not (BESIDE_THE_TESTS / "ayb_realtime").exists()
    else:
        assert PACKAGE.parent == BESIDE_THE_TESTS


def test_package_holds_what_is_not_python() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "sql" / "capture.sql").is_file()
    assert (PACKAGE / "sql" / "statements" / "skip.sql").is_file()
    assert {path.suffix for path in (PACKAGE / "sql").rglob("*.*")} == {".sql"}
    assert (PACKAGE / "templates" / "ayb_realtime" / "admin.html").is_file()


def test_package_holds_the_client_and_its_types_as_an_npm_package_too() -> None:
    folder = PACKAGE / "static" / "ayb_realtime"
    described = json.loads((folder / "package.json").read_text())
    assert described["version"] == ayb_realtime.__version__
    assert {path.name for path in folder.iterdir()} == {
        "client.js",
        "client.d.ts",
        "package.json",
        "openapi.json",
        "asyncapi.json",
        "admin.css",
        "admin.js",
    }
    assert described["files"] == ["client.js", "client.d.ts"]
    exported = re.compile(r"^export (?:declare )?(?:class|function) (\w+)", re.MULTILINE)
    code, types = ((folder / name).read_text() for name in ("client.js", "client.d.ts"))
    assert sorted(exported.findall(code)) == sorted(exported.findall(types)) != []


def test_version_is_one_and_the_same() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([ab]\d+|rc\d+)?", ayb_realtime.__version__)
    setup = ConfigParser()
    setup.read(BESIDE_THE_TESTS / "setup.cfg")
    assert setup["metadata"]["version"] == "attr: ayb_realtime.__version__"
    if "TOX_ENV_NAME" in os.environ:
        assert metadata.version(setup["metadata"]["name"]) == ayb_realtime.__version__


def test_description_links_to_no_file_of_the_checkout() -> None:
    if "TOX_ENV_NAME" in os.environ:
        description = metadata.metadata("django-ayb-realtime")["Description"]
        assert "](https://" in description
        assert not re.search(r"\]\((?!https?:)", description)

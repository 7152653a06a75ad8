"""A Sphinx extension: the site's navigation from the lists of index.md, and the reference from the package's code.

A page holds ``<!-- generated: NAME -->`` where the text of the function ``NAME`` belongs. On a forge that is nothing.
"""

import inspect
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from django.core.management import get_commands, load_command_class
from django.utils.module_loading import import_string
from sphinx.application import Sphinx

import ayb_realtime
from ayb_realtime.conf import Conf

CHECKOUT = Path(__file__).parents[1]
STATIC = Path(ayb_realtime.__file__).parent / "static" / "ayb_realtime"
GENERATED = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
# What every command of Django takes.
COMMON = "--version --verbosity --settings --pythonpath --traceback --no-color --force-color --skip-checks"
OPERATIONS = "EnableRealtime EnableRowSecurity Policy GrantToSubscribers"
PYTHON = """
changes Change Reset Snapshot Ready identity.Identity identity.default_identity identity.identify visibility.as_identity
disconnecting.disconnect asgi.Realtime access_logs.HideTokens exceptions.Unauthenticated exceptions.UnknownTable
exceptions.RoleRefused exceptions.InvalidParameter exceptions.SnapshotFailed exceptions.NotMigrated testing.relaying
testing.RealtimeMixin
"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", complete)
    return {"parallel_read_safe": True}


def complete(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add to a page what is generated."""
    text = GENERATED.sub(lambda found: GENERATORS[found[1]](), source[0])
    source[0] = text + "".join(navigation(text)) if page == "index" else text


def navigation(index: str) -> Iterator[str]:
    """Yield a hidden table of contents for each part of the index, with its links."""
    for part in index.split("\n## ")[1:]:
        entries = "\n".join(f"{title} <{page}>" for title, page in re.findall(r"\[([^]]+)\]\(([\w/]+)\.md\)", part))
        yield f"\n```{{toctree}}\n:hidden:\n:caption: {part.splitlines()[0]}\n\n{entries}\n```\n"


def changelog() -> str:
    """Return CHANGELOG.md, without its heading."""
    return (CHECKOUT / "CHANGELOG.md").read_text().partition("\n")[2]


def decisions() -> str:
    """Return a table of contents of the decisions."""
    return "```{toctree}\n:glob:\n:maxdepth: 1\n\n0*\n```"


def settings() -> str:
    """Return a table of the settings, with what the docstrings of their properties say."""
    rows = [
        (f"`{name}`", _about(getattr(Conf, name.lower())), _default(value)) for name, value in Conf.defaults.items()
    ]
    return _table(("name", "what it is", "default"), rows)


def commands() -> str:
    """Return what each command prints with ``--help``, without what all of Django's commands take."""
    os.environ.update(COLUMNS="100", NO_COLOR="1")
    names = sorted(name for name, app in get_commands().items() if app == "ayb_realtime")
    return "\n".join(f"## {name}\n\n```text\n{_help(name)}```\n" for name in names)


def operations() -> str:
    """Return the signatures and docstrings of the migration operations."""
    return "\n".join(map(_described, (f"operations.{name}" for name in OPERATIONS.split())))


def python() -> str:
    """Return those of what a site imports."""
    return "\n".join(map(_described, PYTHON.split()))


def client() -> str:
    """Return the types of the client."""
    return f"```ts\n{(STATIC / 'client.d.ts').read_text()}```"


def endpoints() -> str:
    """Return each endpoint of openapi.json, with its parameters and answers."""
    return "\n\n".join(
        "\n\n".join((f"## {method.upper()} {path}", endpoint["summary"], _parameters(endpoint), _answers(endpoint)))
        for path, methods in _description("openapi.json")["paths"].items()
        for method, endpoint in methods.items()
    )


def events() -> str:
    """Return each message of asyncapi.json, with its fields and the members of its data."""
    messages = _description("asyncapi.json")["components"]["messages"]
    return "\n\n".join(f"## {name}\n\n{each['summary']}\n\n{_members(each)}" for name, each in messages.items())


GENERATORS: dict[str, Callable[[], str]] = {
    each.__name__: each
    for each in (changelog, client, commands, decisions, endpoints, events, operations, python, settings)
}


def _help(name: str) -> str:
    command = load_command_class("ayb_realtime", name)
    command.suppressed_base_arguments = set(COMMON.split())
    return command.create_parser("manage.py", name).format_help()


def _parameters(endpoint: dict[str, Any]) -> str:
    rows = [
        (f"`{each['name']}`", each["in"], "required" if each.get("required") else "", each.get("description", ""))
        for each in endpoint.get("parameters", ())
    ]
    return _table(("parameter", "in", "", ""), rows) if rows else ""


def _answers(endpoint: dict[str, Any]) -> str:
    return _table(("answer", ""), [(code, answer["description"]) for code, answer in endpoint["responses"].items()])


def _members(message: dict[str, Any]) -> str:
    rows = [
        (f"`{name}`", part, "always" if name in message[part].get("required", ()) else "", _says(member))
        for part in ("headers", "payload")
        for name, member in message.get(part, {}).get("properties", {}).items()
    ]
    return _table(("", "part", "", ""), rows)


def _says(member: dict[str, Any]) -> str:
    return str(member.get("description") or f"`{member.get('const', member.get('type'))}`")


def _description(name: str) -> Any:
    """Return one of the package's descriptions. In place of each ``$ref`` within it stands what it refers to."""
    document = json.loads((STATIC / name).read_text())

    def resolved(part: Any) -> Any:
        match part:
            case {"$ref": str(reference)} if reference.startswith("#/"):
                return resolved(reduce(getitem, reference.split("/")[1:], document))
            case dict():
                return {key: resolved(value) for key, value in part.items()}
            case list():
                return list(map(resolved, part))
        return part

    return resolved(document)


def _described(path: str) -> str:
    """Return the heading, the signature and the docstring of a function or a class, by its path in the package."""
    thing = import_string(f"ayb_realtime.{path}")
    module, name = f"ayb_realtime.{path}".rsplit(".", 1)
    called = "" if isinstance(thing, type) and issubclass(thing, Exception) else f"\n\n{name}{_signature(thing)}"
    code = f"from {module} import {name}{called}"
    return f"## {name}\n\n```python\n{code}\n```\n\n{_markdown(inspect.getdoc(thing) or '')}\n"


def _signature(thing: Callable[..., Any]) -> str:
    """Return a signature without the modules of its types."""
    return (
        re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", str(inspect.signature(thing))).removesuffix(" -> None").replace("'", '"')
    )


def _markdown(docstring: str) -> str:
    """Return a docstring as Markdown; each argument that it describes is an item of a list."""
    text = re.sub(r"\n {2,}", " ", docstring.replace("``", "`"))
    items = re.sub(r"^(\w+(?:, \w+)*): ", r"- `\1`: ", text, flags=re.MULTILINE)
    return re.sub(r"^(- .*\n)(?!- )", r"\1\n", items, flags=re.MULTILINE)


def _about(attribute: property) -> str:
    """Return the docstring of a property in one line. Raises ValueError if there is none."""
    if not attribute.__doc__:
        raise ValueError(f"no docstring: {attribute}")
    return " ".join(inspect.cleandoc(attribute.__doc__).replace("``", "`").split())


def _default(value: object) -> str:
    match value:
        case dict():
            return "by limit"
        case tuple():
            return ", ".join(f"`{each.rpartition('.')[2]}`" for each in value)
        case float():
            return f"`{value:g}`"
    return f"`{value!r}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)

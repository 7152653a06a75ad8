"""Types that have a cast to json, and whether that cast has run."""

from tests.integration.scenario import Owner

BODIES = {
    "raises": "begin perform nextval('public.ran'); raise 'no'; end",
    "writes JSON": "begin perform nextval('public.ran'); return '{\"a\":1}'; end",
}


WRITTEN = {
    "place": ("'in'", "in"),
    "place[]": ("'{in,null}'", ["in", None]),
    "held": ("row(1, 'in')", "(1,in)"),
    "held[]": ("array[row(1, 'in')::held]", ["(1,in)"]),
    "held_twice": ("row(row(1, 'in'), null)", '("(1,in)",)'),
    "placed": ("'in'", "in"),
    "span": ("'[1,2)'", "[1,2)"),
}


def make_cast(owner: Owner, body: str) -> None:
    """Make casts to json with this body."""
    for kind in ("place", "span"):
        owner.execute(
            f"create function {kind}_to_json({kind}) returns json language plpgsql as $$ {body} $$;"
            f" create cast ({kind} as json) with function {kind}_to_json({kind})".encode()
        )


def ran(owner: Owner) -> bool:
    """Return whether a cast has run."""
    row = owner.execute("select is_called from ran").fetchone()
    return row is not None and row[0]

"""Identities by role: Postgres is asked for one role at a time.

The hub keeps thousands of identities; ``visibility`` groups the few that its callers pass otherwise.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set

from ayb_realtime.identity import Identity
from ayb_realtime.visibility.filter_index import FilterIndex

NO_FILTERS: Mapping[str, FilterIndex] = {}


class IdentitiesByRole(Collection[Identity]):
    """Distinct identities, in an order.

    by_role: for each role, as keys, the identities that have it.
    filters: for each role, the filters of their streams, if there are any.
    """

    def __init__(
        self, by_role: Mapping[str, Mapping[Identity, None]], filters: Mapping[str, FilterIndex] = NO_FILTERS
    ) -> None:
        self.by_role = by_role
        self.filters = filters

    @classmethod
    def of(cls, identities: Iterable[Identity]) -> "IdentitiesByRole":
        """Return these identities by role: the argument itself if it is that already."""
        if isinstance(identities, IdentitiesByRole):
            return identities
        by_role: dict[str, dict[Identity, None]] = {}
        for identity in identities:
            by_role.setdefault(identity.role, {})[identity] = None
        return cls(by_role)

    def only(self, roles: Set[str]) -> "IdentitiesByRole":
        """Return the identities that have one of these roles."""
        filters = {role: index for role, index in self.filters.items() if role in roles}
        return IdentitiesByRole({role: alike for role, alike in self.by_role.items() if role in roles}, filters)

    def __contains__(self, identity: object) -> bool:
        return isinstance(identity, Identity) and identity in self.by_role.get(identity.role, ())

    def __iter__(self) -> Iterator[Identity]:
        return (identity for alike in self.by_role.values() for identity in alike)

    def __len__(self) -> int:
        return sum(len(alike) for alike in self.by_role.values())


def settings_of(identities: Sequence[Identity]) -> tuple[list[str], str]:
    """Return the names of all settings, and an array of text with a value of each name for each identity."""
    layouts = {identity.names for identity in identities}
    if len(layouts) == 1:
        (names,) = layouts
        return list(names), text_array([value for identity in identities for _, value in identity.settings])
    names = tuple(sorted({name for layout in layouts for name in layout}))
    values = [dict(identity.settings).get(name, "") for identity in identities for name in names]
    return list(names), text_array(values)


def text_array(values: Sequence[str]) -> str:
    """Write a text[] as Postgres reads it. psycopg adapts each value by itself, which takes many times as long."""
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') > 2 * (len(values) - 1):
        joined = '","'.join(value.replace("\\", r"\\").replace('"', r"\"") for value in values)
    return f'{{"{joined}"}}' if values else "{}"

"""Who sees what: Postgres is asked, under each identity's own role and settings.

Only a clear yes makes a row visible. What is no answer, such as a timeout, is never taken for one.
"""

from ayb_realtime.visibility.answers import Answers, SharedView, VisibleRows
from ayb_realtime.visibility.catalog_guard import check_transaction
from ayb_realtime.visibility.checking import check, check_before
from ayb_realtime.visibility.filter_index import FilteredIdentity, FilterIndex, Matches, with_filtered
from ayb_realtime.visibility.filtering import matches
from ayb_realtime.visibility.one_message import OneMessage
from ayb_realtime.visibility.roles import acting_as, as_identity, check_role, may_select
from ayb_realtime.visibility.transactions import Connection, configure

__all__ = [
    "Answers",
    "Connection",
    "FilterIndex",
    "FilteredIdentity",
    "Matches",
    "OneMessage",
    "SharedView",
    "VisibleRows",
    "acting_as",
    "as_identity",
    "check",
    "check_before",
    "check_role",
    "check_transaction",
    "configure",
    "matches",
    "may_select",
    "with_filtered",
]

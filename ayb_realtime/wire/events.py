"""Events as a client reads them. Pure. Source: the wire protocol, docs/protocol.md."""

import json
from collections.abc import Iterable

from ayb_realtime.exceptions import PositionUnavailable
from ayb_realtime.log.changes import Action, Change
from ayb_realtime.postgres.tables import Table
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.wire import records, sse
from ayb_realtime.wire.form import WHOLE, Form
from ayb_realtime.wire.records import Row


def change_event(change: Change, table: Table, row: Row, form: Form = WHOLE) -> bytes:
    """Encode the event of a change.

    row: the row as the subscriber may see it. A delete sends the primary key only.
    """
    is_delete = change.action is Action.DELETE
    columns = {name: row.columns[name] for name in table.key_columns} if is_delete else form.of_row(table, row.columns)
    record = _record(table, columns)
    data = f'{{"action":"{change.action}","table":{json.dumps(table.name)},"record":{record}}}'
    return sse.encode(data, id=str(change.position), event=form.event_name(table, change.action))


def snapshot_event(table: Table, rows: Iterable[str], form: Form = WHOLE) -> bytes:
    """Encode the event that sends some of a table's rows as they are now.

    rows: each a JSON object, as Postgres' ``row_to_json`` writes it. They are split into columns only if some are sent
        in another form: that is a third of what a snapshot costs the event loop.
    """
    if form.columns or table.utc_columns:
        rows = [_record(table, form.of_row(table, Row(row).columns)) for row in rows]
    found = ",".join(rows)
    return sse.encode(f'{{"table":{json.dumps(table.name)},"records":[{found}]}}', event="snapshot")


def ready_event(position: int) -> bytes:
    """Encode the event that ends a snapshot. position: the rows have everything up to here."""
    return sse.encode("{}", event="ready", id=str(position))


def _record(table: Table, columns: dict[str, str]) -> str:
    for name in table.utc_columns:
        if name in columns:
            # The value is a timestamp or an array of them, in the log's time zone, UTC.
            columns[name] = columns[name].replace('+00:00"', 'Z"')
    return records.join(columns)


def connected_event(client_id: str, position: int, *, resumed: bool) -> bytes:
    """Encode the first event of a stream. Everything that commits after its arrival is delivered.

    resumed: whether the stream goes on after the position that the client has named, and so without a gap.
    """
    return sse.encode(_compact({"clientId": client_id, "resumed": resumed}), event="connected", id=str(position))


def reset_event(reason: ResetReason, tables: list[str], position: int) -> bytes:
    """Encode the event that tells a client to fetch these tables again. The stream then goes on after ``position``."""
    return sse.encode(_compact({"reason": reason, "tables": tables}), event="reset", id=str(position))


def expired_event() -> bytes:
    """Encode the last event of a stream whose token has expired."""
    return sse.encode("{}", event="expired")


def parse_event_id(last_event_id: str) -> int:
    """Read the position that an event has as its id.

    Raises PositionUnavailable for text that this server cannot have sent as one.
    """
    if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) <= 19):
        raise PositionUnavailable(ResetReason.NOT_A_POSITION)
    return int(last_event_id)


def _compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))

"""``manage.py realtime_tail``: print changes as they come to a subscriber, one a line."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import Error

from ayb_realtime.change_stream import Change, Ready, Reset, Snapshot, changes
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics.explain import user_step
from ayb_realtime.exceptions import NotMigrated, RealtimeError, UnknownTable
from ayb_realtime.hub.registry import close_hub
from ayb_realtime.management.users import find_user
from ayb_realtime.postgres import database, tables
from ayb_realtime.wire import records


class Command(BaseCommand):
    """Print until Ctrl-C, or until the user may no longer stream."""

    help = "Print the changes that a user's streams are sent, as they come. Shows the rows to you."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--as", dest="user", metavar="USER", help="the subscriber, by email or user name")
        who.add_argument("--anonymous", action="store_true", help="a subscriber without a token")
        parser.add_argument("--after", type=int, metavar="POSITION", help="begin after it, not with what comes now")
        parser.add_argument("--filter", action="append", default=[], help="which rows, as in ?filter=; may be repeated")
        parser.add_argument("--snapshot", action="store_true", help="print the rows that are there first")
        parser.add_argument("tables", nargs="*", metavar="TABLE", help="as in ?tables=; by default all of them")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find the user, and print."""
        try:
            user = AnonymousUser() if options["anonymous"] else find_user(options["user"], "")
            self._warn(user)
            wanted = {name: options[name] for name in ("after", "filter", "snapshot")}
            asyncio.run(self._tail(user, options["tables"], wanted))
        except KeyboardInterrupt:
            return
        except Error as error:
            raise CommandError(f"The user cannot be looked up: {error}") from error
        except (NotMigrated, psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable) as error:
            raise CommandError(
                f"The database {conf.database!r} is not migrated. First run: manage.py migrate"
            ) from error
        except UnknownTable as error:
            raise CommandError(f"{error}. Streamed are: {', '.join(error.streamed) or 'none'}") from error
        except (RealtimeError, psycopg.Error, OSError) as error:
            raise CommandError(str(error) or type(error).__name__) from error

    def _warn(self, user: AbstractBaseUser | AnonymousUser) -> None:
        """Say if a request by this user would be refused."""
        step = user_step(None if isinstance(user, AnonymousUser) else user)
        if not step.holds:
            self.stderr.write(self.style.WARNING(step.found))

    async def _tail(
        self, user: AbstractBaseUser | AnonymousUser, names: Sequence[str], wanted: Mapping[str, Any]
    ) -> None:
        try:
            async with changes(names or await _all_tables(), as_=user, **wanted) as stream:
                if stream.position is not None:
                    self.stderr.write(f"After position {stream.position}:")
                async for value in stream:
                    if lines := self._lines(value):
                        self.stdout.write(lines)
                        self.stdout.flush()
        finally:
            await close_hub()

    def _lines(self, value: Change | Reset | Snapshot | Ready) -> str:
        match value:
            case Change(action=action):
                paint = {"create": self.style.SUCCESS, "update": self.style.WARNING, "delete": self.style.ERROR}[action]
                return f"{value.position} {paint(action)} {value.table} {_in_a_line(value.text)}"
            case Reset():
                return f"{value.position} {self.style.NOTICE('reset')} {', '.join(value.tables)}: {value.reason}"
            case Snapshot():
                kind = self.style.SUCCESS("snapshot")
                return "\n".join(f"{kind} {value.table} {_in_a_line(row)}" for row in records.elements(value.text))
            case Ready():
                return f"{value.position} ready"


def _in_a_line(text: str) -> str:
    # A column of the type json may hold line ends.
    return " ".join(text.splitlines())


async def _all_tables() -> list[str]:
    async with await database.connect(conf.hub_database) as connection:
        if found := await tables.streamed(connection):
            return [f"{table.schema}.{table.name}" for table in found]
    raise CommandError("No table is streamed. EnableRealtime in a migration streams one.")

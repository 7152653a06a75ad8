"""``manage.py realtime_explain``: why events of a table, or of a row, do or do not reach a subscriber."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import psycopg
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import Error

from ayb_realtime.diagnostics.explain import Step, explain, user_step
from ayb_realtime.exceptions import CannotExplain, UncancellablePolicy
from ayb_realtime.identity import Identity, identify
from ayb_realtime.management.users import find_user


class Command(BaseCommand):
    """Report each step from a write to the subscriber. Exits with 1 if no event would arrive."""

    help = "Say why events of a table, or of one of its rows, do or do not reach a user. Shows the row to you."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--user", metavar="EMAIL", help="the subscriber, by email or user name")
        who.add_argument("--user-id", metavar="PK", help="the subscriber, by primary key, as the hub's log has it")
        who.add_argument("--anonymous", action="store_true", help="a subscriber without a token")
        parser.add_argument("--table", required=True, help="as in ?tables=, with its schema if need be")
        parser.add_argument("--pk", nargs="+", metavar="VALUE", help="a row: a value for each column of its key")
        parser.add_argument(
            "--filter", action="append", default=[], help="of the stream, as in ?filter=; may be repeated"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the steps, and at the end a line that sums them up."""
        try:
            user = None if options["anonymous"] else find_user(options["user"], options["user_id"])
            steps = [user_step(user)]
            self._write(steps[0])
            steps += asyncio.run(self._explain(identify(user), options))
        except Error as error:
            raise CommandError(f"The user cannot be looked up: {error}") from error
        except (CannotExplain, UncancellablePolicy, psycopg.Error) as error:
            raise CommandError(str(error)) from error
        what = f"row ({', '.join(options['pk'])}) of {options['table']}" if options["pk"] else options["table"]
        whom = options["user"] or user or "an anonymous subscriber"
        if obstacles := [step.found for step in steps if step.holds is False]:
            more = f" And {len(obstacles) - 1} more, see above." if obstacles[1:] else ""
            self.stdout.write(f"No event of {what} would reach {whom}. {obstacles[0]}{more}")
            sys.exit(1)
        if options["pk"]:
            self.stdout.write(f"An event of {what} would reach {whom}.")
        else:
            self.stdout.write(f"Events of {what} would reach {whom}, of those rows that are visible; try one by --pk.")

    async def _explain(self, identity: Identity, options: Mapping[str, Any]) -> list[Step]:
        steps = []
        async for step in explain(identity, options["table"], options["pk"], options["filter"]):
            self._write(step)
            steps.append(step)
        return steps

    def _write(self, step: Step) -> None:
        mark = {True: "ok ", False: "NO ", None: "   "}[step.holds]
        self.stdout.write(f"{mark} {step.found}")
        if step.hint:
            self.stdout.write(f"      To do: {step.hint}")

"""``manage.py realtime_roles``: make and grant the roles of a site whose processes may do no more than they need to."""

import json
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import Error, connections, transaction
from psycopg import sql

from ayb_realtime.conf import conf
from ayb_realtime.postgres.sql_files import statement

DEFINER = "ayb_definer"


class Command(BaseCommand):
    """Print the SQL, or run it where ``DATABASE``'s own login may."""

    help = "Make the roles of the relay, the hub and our functions in the database, and grant them what they need."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""
        parser.add_argument("--print-sql", action="store_true", help="print what an administrator runs with psql")
        parser.add_argument(
            "--definer",
            default=DEFINER,
            metavar="ROLE",
            help=f"the role that owns functions (default: {DEFINER}); roles are the cluster's, not the database's",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the SQL, or what was done."""
        roles = {"definer": options["definer"], "relay": _login(conf.relay_database), "hub": _login(conf.hub_database)}
        subscribers = [conf.authenticated_role, conf.anonymous_role]
        given = sql.Literal(json.dumps({**roles, "subscribers": subscribers})).as_string(None)
        text = f"select pg_catalog.set_config('ayb_realtime.roles', {given}, true);\n\n{statement('roles').rstrip()};"
        if options["print_sql"]:
            self.stdout.write(f"begin;\n{text}\ncommit;")
            return
        try:
            with transaction.atomic(conf.database), connections[conf.database].cursor() as cursor:
                cursor.execute(text)
        except Error as error:
            raise CommandError(f"{str(error).strip()}\nAn administrator may run what --print-sql prints.") from error
        made = ", ".join(f"{role} ({what})" for what, role in roles.items() if role)
        self.stdout.write(f"These roles are there, and may do what they need to: {made}.")


def _login(alias: str) -> str | None:
    """Return the user of an alias, or None if that is also the one of ``DATABASE``."""
    own, owners = (str(connections.settings[each].get("USER") or "") for each in (alias, conf.database))
    if own == owners:
        return None
    if not own:
        raise CommandError(f"DATABASES[{alias!r}] names no USER.")
    return own

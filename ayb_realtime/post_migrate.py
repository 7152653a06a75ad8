"""Makes the functions that check tables at the end of each ``migrate``, so that a hub finds them."""

import logging
from typing import Any

from django.db import Error, connections, transaction

from ayb_realtime.conf import conf

logger = logging.getLogger(__package__)

IS_MIGRATED = "select pg_catalog.to_regprocedure('ayb_realtime.make_check_functions_v1(text[])') is not null"
MAKE = "select ayb_realtime.make_check_functions_v1(%s::pg_catalog.text[])"


def make_check_functions(*, using: str, **kwargs: Any) -> None:
    """Make the functions in a transaction of their own. Where Postgres refuses, log that: a hub will try again."""
    # Without a plan it is the flush after a test, not a migration.
    if using != conf.database or "plan" not in kwargs or connections[using].vendor != "postgresql":
        return
    try:
        with transaction.atomic(using), connections[using].cursor() as cursor:
            cursor.execute(IS_MIGRATED)
            if cursor.fetchone() == (True,):
                cursor.execute(MAKE, [[conf.authenticated_role, conf.anonymous_role]])
                for (line,) in cursor.fetchall():
                    logger.error(
                        "the function that checks who sees rows was not made. %s",
                        line,
                        extra={"event_name": "check_function_not_made"},
                    )
    except Error as error:
        logger.error(
            "the functions that check who sees rows were not made. %s",
            str(error).partition("\n")[0],
            extra={"event_name": "check_functions_not_made"},
        )

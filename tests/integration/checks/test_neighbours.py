"""Logins of other sites on the same server, and roles that bear this site's names."""

from typing import Any
from uuid import uuid4

import pytest
from django.core.checks import CheckMessage, Tags, run_checks
from django.db import connection

from tests.integration.checks.conftest import Run, messages, one


@pytest.fixture
def login(run: Run) -> str:
    """Another site's login. It goes with the test's transaction."""
    name = f"Other site's {uuid4().hex[:8]}"
    run(f'create role "{name}" login noinherit')
    return name


def test_login_that_may_act_as_a_subscriber_is_warned_of_until_it_may_not(run: Run, login: str) -> None:
    assert messages() == []
    run(f'grant ayb_anonymous to "{login}"')
    message = one("W046")
    assert message.msg == (
        f"{login} may connect to this database and act as ayb_anonymous: it can read what any subscriber is shown."
    )
    revoke, _, grant = str(message.hint).partition("; or, if")
    for remedy in (revoke, grant.rpartition(": ")[2]):
        run(f'revoke usage on schema ayb_realtime from "{login}"; grant ayb_anonymous to "{login}"')
        assert one("W046")
        run(remedy)
        assert messages() == []


def test_login_that_may_not_connect_or_is_of_another_sites_roles_is_not_warned_of(
    run: Run, login: str, settings: Any
) -> None:
    run(f'grant ayb_anonymous to "{login}"')
    assert one("W046")
    settings.AYB_REALTIME = {"ANONYMOUS_ROLE": "blog's anonymous"}
    assert messages() == []
    settings.AYB_REALTIME = {}
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    run(f"revoke connect on database {name} from public")
    assert messages() == []


def deploy_messages() -> list[CheckMessage]:
    found = run_checks(tags=[Tags.database], databases=["default"], include_deployment_checks=True)
    return [message for message in found if message.id == "ayb_realtime.W047"]


def test_database_that_every_login_may_connect_to_is_warned_of(run: Run, login: str) -> None:
    (message,) = deploy_messages()
    name = connection.settings_dict["NAME"]
    assert message.msg.startswith(f"Every role of this server may connect to the database {name}, such as ")
    run(str(message.hint).partition(" and ")[0])
    assert deploy_messages() == []

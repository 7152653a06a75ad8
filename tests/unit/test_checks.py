"""The system checks: exactly which warning, and when."""

from typing import Any

import pytest
from django.core.checks import Tags, run_checks

OTHERS = ["django.contrib.auth", "django.contrib.contenttypes", "ayb_realtime", "example_project.blog"]


def found(*, deploy: bool) -> list[str]:
    """Return the ids of what the checks of asynchronous parts find."""
    messages = run_checks(tags=[Tags.async_support], include_deployment_checks=deploy)
    return [str(message.id) for message in messages]


@pytest.mark.parametrize(
    ("apps", "deploy", "expected"),
    [
        (["daphne", *OTHERS], True, ["ayb_realtime.W001"]),
        (["daphne", *OTHERS], False, []),
        (OTHERS, True, []),
    ],
)
def test_daphne_without_backpressure_is_warned_of_before_a_deploy(
    settings: Any, apps: list[str], deploy: bool, expected: list[str]
) -> None:
    settings.INSTALLED_APPS = apps
    assert found(deploy=deploy) == expected

"""The package's own errors."""

import inspect

from ayb_realtime import exceptions
from ayb_realtime.exceptions import RealtimeError, Unauthenticated, UnknownTable


def test_every_error_is_a_realtime_error_and_says_what_it_means() -> None:
    classes = [value for value in vars(exceptions).values() if inspect.isclass(value)]
    found = [each for each in classes if each.__module__ == exceptions.__name__]
    assert {error.__name__ for error in found} > {"RealtimeError", "UnknownTable", "PositionUnavailable"}
    assert all(issubclass(error, RealtimeError) and error.__doc__ for error in found)


def test_errors_carry_what_the_client_is_told() -> None:
    assert str(UnknownTable("legacy_orders")) == "unknown table: legacy_orders"
    assert Unauthenticated("authentication required").message == "authentication required"

"""Finds the user whom a command's options name."""

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.management import CommandError
from django.db.models import Q


def find_user(name: str | None, pk: str) -> AbstractBaseUser:
    """Return the one user with this email, whatever its case, or this user name; without a name, with this key.

    Raises CommandError, or Error.
    """
    model = get_user_model()
    if name is None:
        try:
            return model._default_manager.get(pk=pk)  # noqa: SLF001 - Django documents it
        except (model.DoesNotExist, ValueError, ValidationError):
            raise CommandError(f"No user has the primary key {pk!r}.") from None
    condition = Q(**{model.USERNAME_FIELD: name})
    try:
        model._meta.get_field(model.get_email_field_name())
        condition |= Q(**{f"{model.get_email_field_name()}__iexact": name})
    except FieldDoesNotExist:
        pass
    users = model._default_manager.filter(condition)[:2]  # noqa: SLF001 - Django documents it
    if len(users) != 1:
        raise CommandError(f"{'Several users have' if users else 'No user has'} the email or user name {name!r}.")
    return users[0]

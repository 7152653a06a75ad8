"""The system checks: ``settings`` run with every command, the others with ``migrate`` and ``check --database default``.

What each says and what to do about it is in docs/checks.md. A check warns of what is so, and an error is kept for what
shows rows to those who must not see them, or lets nothing arrive: an error also stops ``migrate``.
"""

from ayb_realtime.checks import migrations, policies, settings, tables

__all__ = ["migrations", "policies", "settings", "tables"]

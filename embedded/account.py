"""The user that a server runs as. PostgreSQL refuses to run as root, so root runs it as an unprivileged user.

That user cannot reach a checkout below /root (mode 0700). Rather than change the modes of folders that are not
ours, we let the server keep one capability, CAP_DAC_OVERRIDE, which opens such folders.
"""

import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

_REACHABLE = 'test -x "$0" && test -w "$1"'


class UnreachableError(RuntimeError):
    """The unprivileged user cannot reach the server's files, and setpriv is missing. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user to run a program as, in the terms of ``subprocess``; all None: the current user.

    setpriv: the path of setpriv, if that changes to ``uid`` (and keeps CAP_DAC_OVERRIDE) in place of ``subprocess``.
    """

    uid: int | None = None
    gid: int | None = None
    setpriv: str | None = None

    @property
    def user(self) -> int | None:
        return None if self.setpriv else self.uid

    @property
    def group(self) -> int | None:
        return None if self.setpriv else self.gid

    @property
    def extra_groups(self) -> list[int] | None:
        return None if self.user is None else []

    def prefix(self, death_signal: signal.Signals) -> list[str]:
        """Return what to put before a command. A change of user clears the death signal, so setpriv sets it again."""
        if self.setpriv is None:
            return []
        user = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        # PostgreSQL finds its own program with access(2), which heeds capabilities only without the "setuid fixup".
        keep = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
        return [self.setpriv, *user, *keep, f"--pdeathsig={death_signal.name.removeprefix('SIG')}", "--"]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a short program as this user to its end; return its exit code and what it printed."""
        return subprocess.run(  # noqa: S603
            [*self.prefix(signal.SIGTERM), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            start_new_session=True,
            user=self.user,
            group=self.group,
            extra_groups=self.extra_groups,
            check=False,
        )


CURRENT = Account()


def account_for(folder: Path, program: Path) -> Account:
    """Return whom to run ``program`` as, so that it can write to ``folder``, which then belongs to that user.

    If we are not root, that is the current user. If we are, it is the folder's owner, or ``nobody`` where root owns it.
    Raises UnreachableError if that user cannot reach both paths and setpriv is not installed.
    """
    if os.geteuid() != 0:
        return CURRENT
    account = _owner(folder)
    os.chown(folder, account.uid or 0, account.gid or 0)
    if account.run("sh", "-c", _REACHABLE, program, folder).returncode == 0:
        return account
    account = Account(account.uid, account.gid, setpriv=shutil.which("setpriv"))
    if not account.setpriv or account.run("sh", "-c", _REACHABLE, program, folder).returncode != 0:
        raise UnreachableError(
            f"PostgreSQL does not run as root, and user {account.uid} cannot reach {program} or {folder}. Move the "
            "checkout to a folder that every user may enter (/srv, say), or work as an ordinary user, or install "
            "setpriv (of util-linux)."
        )
    return account


def _owner(folder: Path) -> Account:
    status = folder.stat()
    if status.st_uid != 0:
        return Account(status.st_uid, status.st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)

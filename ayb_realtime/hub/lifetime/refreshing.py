"""Lets open streams go on with newer credentials, also if another process was asked to. The hub runs it.

A request that concerns a stream of another process waits in the table ``refresh``. Each hub looks there once a second,
and the one that holds the stream answers there. It also looks whose streams have to end, and whether to say which are
open. What must always hold: a stream goes on only if a process with this site's SECRET_KEY has seen credentials of the
same identity that rest on the same proofs, whatever the table says.
"""

import asyncio
import hmac
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn
from uuid import UUID, uuid4

import psycopg
from django.conf import settings
from django.utils.crypto import salted_hmac
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ayb_realtime.access.proofs import Proof
from ayb_realtime.hub.lifetime.disconnecting import Disconnecting, told
from ayb_realtime.hub.quiet_logger import QuietLogger
from ayb_realtime.hub.streams.subscriber import Subscriber
from ayb_realtime.identity import Identity
from ayb_realtime.postgres import sessions
from ayb_realtime.postgres.sql_files import statement

POLL_SECONDS = 1.0
# How long to wait for an answer. It is given within POLL_SECONDS, and read within as much again.
ANSWER_SECONDS = 4.0
# How many requests of this process wait for an answer at a time. More of them wait for their turn.
ASKED_MAX = 500

FAILS = "streams cannot be refreshed by way of other processes: %s"

CLIENT_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Refresh:
    """A request to let a stream go on, as the table has it.

    expires_at: when the credentials expire, in seconds since the epoch, as text; "inf": never.
    seal: depends on all of the request and on whose the credentials are.
    """

    id: UUID
    client_id: str
    expires_at: str
    seal: str

    def is_sealed(self, identity: Identity, proofs: Iterable[Proof]) -> bool:
        """Tell whether the request was made for credentials of this identity that rest on these proofs."""
        secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        seals = (_seal(secret, self.client_id, self.expires_at, identity, proofs) for secret in secrets)
        return any(hmac.compare_digest(seal.encode(), self.seal.encode()) for seal in seals)


def _seal(secret: str | bytes, client_id: str, expires_at: str, identity: Identity, proofs: Iterable[Proof]) -> str:
    sealed = repr((client_id, expires_at, identity.role, identity.settings, tuple(proofs)))
    return salted_hmac("ayb_realtime.refresh", sealed, secret=secret, algorithm="sha256").hexdigest()


class Refreshing:
    """Asks for refreshes, and answers those that other processes ask for. disconnecting: ends streams meanwhile."""

    def __init__(self, pool: AsyncConnectionPool[Any], streams: Callable[[], Sequence[Subscriber]]) -> None:
        self._pool = pool
        self._streams = streams
        self._asked: dict[UUID, asyncio.Future[bool]] = {}
        self._turns = asyncio.Semaphore(ASKED_MAX)
        self.disconnecting = Disconnecting()
        self._id = uuid4()
        self._logger = QuietLogger(logging.getLogger("ayb_realtime.hub"))

    async def ask(
        self, client_id: str, identity: Identity, proofs: Iterable[Proof], expires_at: float | None
    ) -> bool | None:
        """Let an open stream go on until these credentials expire, if that is later than those that it has now.

        Return whether they are those of the stream: of the same identity, resting on the same proofs. None: no process
        has a stream with this id. Raises psycopg.Error or PoolTimeout.
        """
        if not CLIENT_ID.fullmatch(client_id):
            return None
        until = repr(math.inf if expires_at is None else expires_at)
        seal = _seal(settings.SECRET_KEY, client_id, until, identity, proofs)
        refresh = Refresh(uuid4(), client_id, until, seal)
        here = _grant([refresh], self._streams())
        return here[refresh.id] if here else await self._ask_others(refresh)

    async def run(self) -> NoReturn:
        """Answer what other processes ask, and take their answers, until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._answer()
                await self._take_answers()
                await self._tell()
            except psycopg.ProgrammingError as error:  # Such as a table that this user may not write.
                self._logger.warning(FAILS, error, extra={"event_name": "refresh_fails"})
            except (psycopg.Error, PoolTimeout):
                continue  # The live deliveries log that the database does not answer.

    async def _ask_others(self, refresh: Refresh) -> bool | None:
        async with self._turns:
            answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._asked[refresh.id] = answer
            try:
                await self._write(statement("ask_refresh"), asdict(refresh))
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await answer
            except TimeoutError:
                return None
            finally:
                del self._asked[refresh.id]

    async def _answer(self) -> None:
        if not (streams := self._streams()):
            return
        async with self._pool.connection() as connection:
            rows = await sessions.fetch(connection, statement("asked_refreshes"))
            # Streams that were opened meanwhile, too: the rows are not new to them any more.
            self.disconnecting.end(await sessions.fetch(connection, statement("disconnected_users")), self._streams())
        if granted := _grant([Refresh(*row) for row in rows], streams):
            answers = {"ids": [*granted], "granted": [*granted.values()]}
            await self._write(statement("answer_refreshes"), answers)

    async def _take_answers(self) -> None:
        if not self._asked:
            return
        for refresh_id, is_granted in await self._write(statement("answered_refreshes"), {"ids": [*self._asked]}):
            answer = self._asked.get(refresh_id)
            if answer is not None and not answer.done():
                answer.set_result(is_granted)

    async def _tell(self) -> None:
        if self.disconnecting.is_asked_to_tell:
            self.disconnecting.is_asked_to_tell = False
            if streams := self._streams():
                await self._write(statement("tell_open_streams"), {"hub": self._id, "told": told(streams)})

    async def _write(self, query: str, parameters: Mapping[str, object]) -> list[Any]:
        async with self._pool.connection() as connection:
            return await sessions.fetch(connection, query, parameters, begin=sessions.WRITE)


def _grant(refreshes: Iterable[Refresh], streams: Iterable[Subscriber]) -> dict[UUID, bool]:
    """Let those of these streams go on that are asked for with their own credentials.

    Return whether they were, for each request that concerns one of these streams.
    """
    asked: dict[str, list[Refresh]] = {}
    for refresh in refreshes:
        asked.setdefault(refresh.client_id, []).append(refresh)
    granted = {}
    for stream in streams if asked else ():
        for refresh in asked.get(stream.client_id, ()) if not stream.ended else ():
            granted[refresh.id] = refresh.is_sealed(stream.identity, stream.proofs)
            if granted[refresh.id] and stream.expires_at is not None:
                stream.expires_at = max(stream.expires_at, float(refresh.expires_at))
    return granted

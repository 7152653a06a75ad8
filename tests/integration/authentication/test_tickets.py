"""``POST /api/realtime/ticket``: what a ticket opens, for how long, how often, and what the table of tickets shows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from django.core import signing
from django.db import connections
from django.test import AsyncClient
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.access import tickets
from ayb_realtime.access.proofs import Chain, Named, Session, row_of
from ayb_realtime.access.tickets import Held
from ayb_realtime.exceptions import Unauthenticated
from ayb_realtime.hub.hub import Hub
from tests.integration.authentication.conftest import User, user_id
from tests.integration.scenario import Owner, person

PATH = "/api/realtime/ticket"


@pytest.fixture(autouse=True)
def no_tickets(owner: Owner) -> None:
    owner.execute("delete from ayb_realtime.ticket")


@pytest.fixture
def ask(the_hub: Hub, async_client: AsyncClient) -> Callable[..., Any]:
    """Ask for a ticket; return the status and the body."""

    async def request(user: Any = None, **headers: str) -> tuple[int, Any]:
        if user is not None:
            headers["Authorization"] = f"Bearer {AccessToken.for_user(user)}"
        response = await async_client.post(PATH, headers=headers)
        return response.status_code, json.loads(response.content)

    return request


async def test_ticket_opens_one_stream_of_its_user(get: Callable[..., Any], ask: Callable[..., Any], user: Any) -> None:
    status, body = await ask(user)
    assert (status, body["expiresIn"], len(body["ticket"])) == (200, 30, 43)
    status, stream = await get(ticket=body["ticket"])
    assert (status, user_id(stream)) == (200, str(user.pk))
    _, other = await get(token=str(AccessToken.for_user(user)))
    assert stream is not None
    assert other is not None
    assert (stream.identity, stream.proofs) == (other.identity, other.proofs)
    assert stream.expires_at == pytest.approx(other.expires_at, abs=60)
    assert await get(ticket=body["ticket"]) == (401, None)
    assert await get(ticket=body["ticket"], token=str(AccessToken.for_user(user))) == (401, None)


async def test_no_ticket_is_refused(get: Callable[..., Any], ask: Callable[..., Any], user: Any, owner: Owner) -> None:
    _, body = await ask(user)
    for wrong in ("x", body["ticket"][:-1], body["ticket"] + "x", "\0", "é", "x" * 10_000):
        assert await get(ticket=wrong) == (401, None)
    digest = sha256(body["ticket"].encode()).digest()
    assert owner.execute("select digest from ayb_realtime.ticket").fetchall() == [(digest,)]


async def test_ticket_is_not_kept_by_a_cache_and_is_given_by_post_alone(the_hub: Hub, user: Any) -> None:
    client, headers = AsyncClient(enforce_csrf_checks=True), {"Authorization": f"Bearer {AccessToken.for_user(user)}"}
    assert (await client.post(PATH, headers=headers))["Cache-Control"] == "no-store"
    response = await client.get(PATH, headers=headers)
    assert (response.status_code, response["Allow"]) == (405, "POST")


async def test_ticket_is_given_to_who_may_stream(
    sessions: None, ask: Callable[..., Any], async_client: AsyncClient, user: Any, settings: Any
) -> None:
    settings.AYB_REALTIME = {"ANONYMOUS": True}
    assert (await ask())[0] == 401
    assert (await ask(Authorization="Bearer x"))[0] == 401
    await async_client.aforce_login(user)
    assert (await ask(Origin="https://elsewhere.example"))[0] == 403
    assert (await ask())[0] == 200


async def test_ticket_makes_no_other_ticket(ask: Callable[..., Any], async_client: AsyncClient, user: Any) -> None:
    _, body = await ask(user)
    response = await async_client.post(f"{PATH}?ticket={body['ticket']}")
    assert response.status_code == 401


@pytest.mark.parametrize("change", [{"is_active": False}, None])
async def test_ticket_ends_with_its_user(
    get: Callable[..., Any], ask: Callable[..., Any], user: Any, change: dict[str, Any] | None
) -> None:
    _, body = await ask(user)
    users = User.objects.filter(pk=user.pk)
    await (users.aupdate(**change) if change else users.adelete())
    assert await get(ticket=body["ticket"]) == (401, None)


async def test_ticket_whose_user_cannot_be_asked_about_is_not_refused(
    get: Callable[..., Any], ask: Callable[..., Any], user: Any, owner: Owner
) -> None:
    _, body = await ask(user)
    owner.execute("alter table users rename to users_away")
    try:
        assert await get(ticket=body["ticket"]) == (503, None)
    finally:
        owner.execute("alter table users_away rename to users")


async def test_ticket_of_a_session_ends_with_it(
    sessions: None, get: Callable[..., Any], ask: Callable[..., Any], async_client: AsyncClient, user: Any
) -> None:
    await async_client.aforce_login(user)
    _, body = await ask()
    async_client.cookies.clear()
    status, stream = await get(ticket=body["ticket"])
    assert (status, user_id(stream)) == (200, str(user.pk))
    assert stream is not None
    assert any(isinstance(proof, Session) for proof in stream.proofs)


@pytest.mark.django_db(transaction=True)
class TestTable:
    """What the table of tickets does and shows."""

    def held(self, user: Any, expires_at: float | None = None) -> Held:
        proof = row_of(user, with_password=True)
        assert proof is not None
        return Held(person("secret"), expires_at, (proof, Named("é")))

    def test_what_a_ticket_stands_for_is_the_same_afterwards(self, user: Any) -> None:
        for held in (self.held(user), self.held(user, time.time() + 99.123456)):
            assert tickets.use(tickets.make(held)) == held
        for proof in (Session("s"), Chain("1", "c")):
            assert tickets._read(json.loads(json.dumps(tickets._written(proof)))) == proof

    def test_of_many_uses_at_once_one_succeeds(self, user: Any) -> None:
        ticket = tickets.make(self.held(user))

        def use(_: int) -> bool:
            try:
                return bool(tickets.use(ticket))
            except Unauthenticated:
                return False
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(use, range(8))) == [False] * 7 + [True]

    def test_table_shows_neither_a_ticket_nor_what_it_stands_for(self, user: Any, owner: Owner) -> None:
        ticket = tickets.make(self.held(user))
        ((digest, kept),) = owner.execute("select digest, held from ayb_realtime.ticket").fetchall()
        assert digest == sha256(ticket.encode()).digest()
        with pytest.raises((signing.BadSignature, UnicodeDecodeError)):
            signing.loads(kept.decode(), salt=tickets.SALT)

    def test_what_no_process_of_the_site_has_written_opens_nothing(
        self, user: Any, owner: Owner, settings: Any
    ) -> None:
        own, stolen = tickets.make(self.held(user)), tickets.make(self.held(user))
        digests = [sha256(each.encode()).digest() for each in (own, stolen)]
        held = "(select held from ayb_realtime.ticket where digest = %s)"
        owner.execute(f"update ayb_realtime.ticket set held = {held} where digest = %s", [*reversed(digests)])
        key, settings.SECRET_KEY = settings.SECRET_KEY, "another"
        forged = tickets.make(self.held(user))
        settings.SECRET_KEY = key
        for ticket in (own, forged):
            with pytest.raises(Unauthenticated):
                tickets.use(ticket)

    def test_ticket_is_good_for_half_a_minute(self, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = time.time()
        early, late = tickets.make(self.held(user)), tickets.make(self.held(user))
        expiring = tickets.make(self.held(user, clock + 10))
        monkeypatch.setattr(time, "time", lambda: clock + 29)
        assert tickets.use(early)
        with pytest.raises(Unauthenticated):
            tickets.use(expiring)
        monkeypatch.setattr(time, "time", lambda: clock + 32)
        with pytest.raises(Unauthenticated):
            tickets.use(late)

    def test_old_tickets_are_dropped(self, user: Any, owner: Owner) -> None:
        tickets.make(self.held(user))
        owner.execute("update ayb_realtime.ticket set made_at = made_at - interval '2 minutes'")
        tickets.make(self.held(user))
        assert owner.execute("select count(*) from ayb_realtime.ticket").fetchone() == (1,)

    def test_ticket_of_an_older_secret_key_is_taken(self, user: Any, settings: Any) -> None:
        proof = row_of(user)
        assert proof is not None
        ticket = tickets.make(Held(person(1), None, (proof,)))
        old = settings.SECRET_KEY
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [old]
        assert tickets.use(ticket).proofs == (proof,)

"""What docs/identity.md and docs/policies.md print, as printed: who is sent what by such identities and policies."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer
from django.db import models, transaction
from django.test import AsyncClient
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.hub.hub import Hub
from ayb_realtime.identity import Identity, default_identity, identify
from ayb_realtime.visibility import as_identity
from example_project.blog.models import User
from tests.integration.conftest import GRANTEES
from tests.integration.identity.conftest import streaming
from tests.integration.scenario import MakeTable, Owner, Stream, person, relaying

DOCS = Path(__file__).parents[2] / "docs"


def printed(page: str, language: str, holding: str) -> str:
    """Return the one block of a page that holds a text."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    [block] = [each for each in found if holding in each]
    return str(block)


def run(page: str, holding: str, **names: Any) -> dict[str, Any]:
    """Run a block of Python with these names; return all names."""
    exec(printed(page, "python", holding), names)
    return names


def token(user: Any, **claims: object) -> str:
    """Return an access token with claims."""
    issued = AccessToken.for_user(user)
    issued.payload.update(claims)
    return str(issued)


@pytest.fixture
def users(transactional_db: None) -> list[Any]:
    """Two users."""
    return [User.objects.create(email=f"{uuid4().hex}@example.com") for _ in range(2)]


@pytest.fixture
def documents(owner: Owner, make_table: MakeTable) -> None:
    """The table of docs/identity.md, with its policy."""
    make_table("documents", "id int primary key, org text")
    owner.execute("alter table documents enable row level security")
    owner.execute(printed("identity.md", "sql", "documents_org").encode())


async def ids(stream: Stream, count: int = 1) -> list[int]:
    """Wait for changes; return the ids of their rows."""
    return await stream.next_ids(count)


async def test_claims_of_the_token_decide(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    async_client: AsyncClient,
    owner: Owner,
    documents: None,
    users: list[Any],
    settings: Any,
) -> None:
    settings.AYB_REALTIME = {"IDENTITY": run("identity.md", "import json")["identity"]}
    acme, other = (token(user, org=org) for user, org in zip(users, ("acme", "other"), strict=True))
    async with (
        relaying(memory_layer),
        streaming(async_client, tables="documents", token=acme) as of_acme,
        streaming(async_client, tables="documents", token=other) as of_other,
    ):
        owner.execute("insert into documents values (1, 'acme'), (2, 'other'), (3, null)")
        assert [await ids(of_acme), await ids(of_other)] == [[1], [2]]


def test_middleware_gives_the_tenant_to_the_identity() -> None:
    names = run("identity.md", "ContextVar", **run("identity.md", "import json"))
    seen: list[Identity] = []
    middleware = names["tenant_middleware"](lambda request: seen.append(names["identity"](None, {})))
    middleware(SimpleNamespace(get_host=lambda: "north.example.com"))
    assert ("ayb.tenant", "north") in seen[0].settings


@pytest.fixture
def auditor(owner: Owner, documents: None) -> Iterator[None]:
    """The role of docs/identity.md, by its statements."""
    statements = printed("identity.md", "sql", "auditor").replace(
        "GRANT auditor TO mysite", f"GRANT auditor TO {GRANTEES}"
    )
    owner.execute(statements.encode())
    yield
    owner.execute("drop owned by auditor; drop role auditor")


async def test_another_role_is_sent_what_it_was_granted(
    memory_layer: BaseChannelLayer,
    the_hub: Hub,
    async_client: AsyncClient,
    owner: Owner,
    auditor: None,
    users: list[Any],
    settings: Any,
) -> None:
    owner.execute("create policy auditors on documents to auditor using (true)")
    settings.AYB_REALTIME = {
        "IDENTITY": lambda user, claims: Identity("auditor", default_identity(user, claims).settings)
    }
    async with (
        relaying(memory_layer),
        streaming(async_client, tables="documents", token=token(users[0])) as stream,
    ):
        owner.execute("insert into documents values (1, 'acme')")
        assert await ids(stream) == [1]


def test_view_reads_as_the_subscriber(documents: None, owner: Owner, users: list[Any], settings: Any) -> None:
    class Document(models.Model):  # noqa: DJ008
        org = models.TextField()

        class Meta:
            app_label = "blog"
            db_table = "documents"
            managed = False

    settings.AYB_REALTIME = {"IDENTITY": run("identity.md", "import json")["identity"]}
    owner.execute("insert into documents values (1, 'acme')")
    names = run("identity.md", "as_identity", request=SimpleNamespace(user=users[0]), Document=Document)
    assert names["documents"] == []
    with as_identity(identify(users[0], {"org": "acme"})):
        assert [each.pk for each in Document._default_manager.all()] == [1]


async def test_deactivated_user_is_disconnected(
    memory_layer: BaseChannelLayer, the_hub: Hub, async_client: AsyncClient, make_table: MakeTable, users: list[Any]
) -> None:
    make_table("notes", "id int primary key")
    async with streaming(async_client, token=token(users[0])) as stream:
        await sync_to_async(run)("identity.md", "disconnect(user)", user=users[0], transaction=transaction)
        assert (await stream.next()).event == "expired"


async def test_post_of_a_team_is_seen_by_its_members(
    memory_layer: BaseChannelLayer, the_hub: Hub, owner: Owner, make_table: MakeTable
) -> None:
    make_table("blog_membership", "team_id int, user_id bigint", enable=False)
    make_table("blog_post", "id int primary key, author_id bigint, team_id int")
    owner.execute(printed("policies.md", "sql", "post_author").encode())
    owner.execute(printed("policies.md", "sql", "post_team").encode())
    owner.execute("insert into blog_membership values (5, 2)")
    async with relaying(memory_layer):
        author, member = [Stream(await the_hub.subscribe(person(number), ["blog_post"])) for number in (1, 2)]
        for stream in (author, member):
            await stream.next()
        owner.execute("insert into blog_post values (1, 1, 6), (2, 3, 5), (3, 1, 5)")
        assert [await ids(author, 2), await ids(member, 2)] == [[1, 3], [2, 3]]

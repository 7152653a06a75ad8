"""What customers see of the site's tables while they look."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient
from knox.models import AuthToken

from erp.models import Order as ErpOrder
from shop.apps import spans
from shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sessions"])


@pytest.fixture
def ann(db):
    return User.objects.create(username="ann", email="ann@example.com")


@pytest.fixture
def bob(db):
    return User.objects.create(username="bob", email="bob@example.com")


async def test_customer_alone_sees_an_order(realtime, ann, bob):
    own = await realtime.stream(ann, ["public.orders"])
    other = await realtime.stream(bob, ["public.orders"])
    await Order.objects.acreate(customer=ann, item="tea")
    event = await own.event(action="create", table="orders")
    assert event["record"]["item"] == "tea"
    await other.assert_silent()


async def test_stream_has_what_triggers_made_of_a_row(realtime, ann):
    stream = await realtime.stream(ann, ["public.orders"])
    order = await Order.objects.acreate(customer=ann, item="  tea ")
    await stream.event(action="create", record={"item": "tea", "cancelled": None})
    await Order.objects.filter(id=order.id).adelete()
    await stream.event(action="update", record={"id": order.id, "cancelled": True})
    await stream.assert_silent()


async def test_history_is_streamed_too(realtime, ann, bob):
    own = await realtime.stream(ann, ["shop_orderevent"])
    other = await realtime.stream(bob, ["shop_orderevent"])
    order = await Order.objects.acreate(customer=ann, item="tea")
    await Order.objects.filter(id=order.id).aupdate(item="coffee")
    await own.event(record={"pgh_label": "insert", "item": "tea"})
    await own.event(record={"pgh_label": "update", "item": "coffee"})
    await other.assert_silent()


async def test_orders_of_two_schemas_are_two_tables(realtime, ann):
    of_shop = await realtime.stream(ann, ["public.orders"])
    of_erp = await realtime.stream(ann, ["erp.orders"])
    await ErpOrder.objects.acreate(email="ann@example.com", item="a ton of tea")
    await of_erp.event(action="create", record={"item": "a ton of tea"})
    await of_shop.assert_silent()


async def test_token_opens_a_stream(realtime, ann):
    _, token = await sync_to_async(AuthToken.objects.create)(ann)
    stream = await realtime.stream(None, ["public.orders"], headers={"Authorization": f"Token {token}"})
    await Order.objects.acreate(customer=ann, item="tea")
    await stream.event(action="create", record={"item": "tea"})


async def test_streams_end_with_the_token_and_with_the_session(realtime, ann, settings):
    settings.AYB_REALTIME = {**settings.AYB_REALTIME, "RECHECK_SECONDS": 0.1}
    _, token = await sync_to_async(AuthToken.objects.create)(ann)
    client = AsyncClient()
    await client.aforce_login(ann)
    by_token = await realtime.stream(None, ["public.orders"], headers={"Authorization": f"Token {token}"})
    by_session = await realtime.stream(None, ["public.orders"], client=client)
    other = await realtime.stream(ann, ["public.orders"])
    await AuthToken.objects.all().adelete()
    await by_token.event("expired")
    await by_session.assert_silent()
    await client.alogout()
    await by_session.event("expired")
    await other.assert_silent()


async def test_statements_of_a_stream_are_traced(realtime, ann):
    spans.clear()
    stream = await realtime.stream(ann, ["public.orders"])
    await Order.objects.acreate(customer=ann, item="tea")
    await stream.event(action="create")
    statements = [str(span.attributes.get("db.statement", "")) for span in spans.get_finished_spans()]
    assert any("ayb_realtime.batch" in statement and "traceparent" in statement for statement in statements)

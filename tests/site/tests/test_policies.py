"""What the policies show without a stream; and one stream, with Django's test cases."""

from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import TestCase, TransactionTestCase

from ayb_realtime.identity import identify
from ayb_realtime.testing import RealtimeMixin, relaying
from ayb_realtime.visibility import as_identity
from shop.models import Order


class PolicyTests(TestCase):
    databases = ["default", "sessions"]

    def setUp(self):
        self.ann = User.objects.create(username="ann", email="ann@example.com")
        self.bob = User.objects.create(username="bob", email="bob@example.com")
        Order.objects.create(customer=self.ann, item="tea")

    def test_stranger_sees_no_order(self):
        with as_identity(identify(self.ann)):
            self.assertEqual(Order.objects.get().item, "tea")
        with as_identity(identify(self.bob)):
            self.assertFalse(Order.objects.exists())

    def test_page_shows_what_the_customer_may_see(self):
        for user, count in [(self.ann, 1), (self.bob, 0)]:
            self.client.force_login(user)
            self.assertContains(self.client.get("/"), "<li>tea</li>", count=count)

    async def test_streams_do_not_work_in_a_transaction(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "Use TransactionTestCase"):
            async with relaying():
                pass


class StreamTests(RealtimeMixin, TransactionTestCase):
    databases = ["default", "sessions"]

    async def test_order_is_seen(self):
        ann = await User.objects.acreate(username="ann", email="ann@example.com")
        stream = await self.realtime.stream(ann, ["public.orders"])
        await Order.objects.acreate(customer=ann, item="tea")
        await stream.event(action="create", record={"item": "tea"})
        await stream.assert_silent()

"""Who sees what, as the pages see it: by streams, and by the policies alone. Run by ``manage.py test`` or pytest."""

from django.test import TestCase, TransactionTestCase
from rest_framework_simplejwt.tokens import AccessToken

from ayb_realtime.identity import identify
from ayb_realtime.testing import RealtimeMixin
from ayb_realtime.visibility import as_identity
from example_project.blog.models import Comment, Membership, Post, Team, User


class StreamTests(RealtimeMixin, TransactionTestCase):
    """Two people look at the page while something changes."""

    def setUp(self) -> None:
        self.author = User.objects.create(email="author@example.com")
        self.reader = User.objects.create(email="reader@example.com")
        self.team = Team.objects.create(name="The team")
        Membership.objects.create(team=self.team, user=self.author)

    async def test_draft_is_its_authors_until_it_is_published(self) -> None:
        own = await self.realtime.stream(self.author, ["posts"])
        other = await self.realtime.stream(self.reader, ["posts"])
        post = await Post.objects.acreate(author=self.author, title="A draft")
        await own.event(action="create", table="posts", record={"title": "A draft"})
        await other.assert_silent()

        await Post.objects.filter(pk=post.pk).aupdate(published=True)
        await other.event(action="update", record={"id": post.pk, "published": True})

    async def test_comment_reaches_the_team_and_a_new_member_from_the_next_one_on(self) -> None:
        member = await self.realtime.stream(self.author, ["comments"])
        joining = await self.realtime.stream(self.reader, ["comments"])
        await self._comment("before")
        await member.event(action="create", table="comments", record={"body": "before"})
        await joining.assert_silent()

        await Membership.objects.acreate(team=self.team, user=self.reader)
        await self._comment("after")
        await joining.event(action="create", table="comments", record={"body": "after"})
        await joining.assert_silent()

    async def test_post_of_the_api_is_streamed(self) -> None:
        stream = await self.realtime.stream(self.reader, ["posts"])
        token = {"Authorization": f"Bearer {AccessToken.for_user(self.author)}"}
        body = {"title": "By the API", "published": True}
        answer = await self.async_client.post(
            "/api/collections/posts", body, content_type="application/json", headers=token
        )
        self.assertEqual(answer.status_code, 201)
        await stream.event(action="create", record={"id": answer.json()["id"], "title": "By the API"})

    async def _comment(self, body: str) -> None:
        await Comment.objects.acreate(author=self.author, team=self.team, body=body)


class PolicyTests(TestCase):
    """What a list shows follows the same policies. This needs no stream."""

    def test_stranger_does_not_see_a_draft(self) -> None:
        author, stranger = (User.objects.create(email=f"{name}@example.com") for name in ("author", "stranger"))
        Post.objects.create(author=author, title="A draft")
        for user, sees in ((author, True), (stranger, False)):
            with self.subTest(user.email), as_identity(identify(user)):
                self.assertIs(Post.objects.exists(), sees)

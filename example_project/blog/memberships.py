"""Who is in the demo's team. Anyone logged in may change it: the page shows what a policy makes of that.

These writes are the application's own, as the tables' owner; only reading posts and comments is up to the policies.
"""

from uuid import UUID

from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_204_NO_CONTENT
from rest_framework.views import APIView

from example_project.blog.demo import TEAM
from example_project.blog.models import Membership, Team, User
from example_project.blog.serializers import MemberSerializer


class Memberships(APIView):  # type: ignore[misc]  # REST framework has no types
    """The team with the ids of its members."""

    def get(self, _: Request) -> Response:
        """Say who is in it."""
        team = demo_team()
        members = Membership.objects.filter(team=team).order_by("id").values_list("user_id", flat=True)
        return Response({"team": {"id": team.pk, "name": team.name}, "members": list(members)})

    def post(self, request: Request) -> Response:
        """Put ``{"user_id": ...}`` into it."""
        member = MemberSerializer(data=request.data)
        member.is_valid(raise_exception=True)
        user = User.objects.filter(pk=member.validated_data["user_id"]).first()
        if user is None:
            raise NotFound("user not found")
        Membership.objects.get_or_create(team=demo_team(), user=user)
        return self.get(request)


class Member(APIView):  # type: ignore[misc]  # REST framework has no types
    """A user who is in the team."""

    def delete(self, _: Request, user_id: UUID) -> Response:
        """Take the user out of it."""
        Membership.objects.filter(team=demo_team(), user_id=user_id).delete()
        return Response(status=HTTP_204_NO_CONTENT)


def demo_team() -> Team:
    """Return the seeded team. Raises NotFound."""
    team = Team.objects.filter(name=TEAM).first()
    if team is None:
        raise NotFound("no team yet: run manage.py seed")
    return team

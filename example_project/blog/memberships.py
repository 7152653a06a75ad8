"""Who is in the demo's team. Every user may change it, so that the page can show what the policies do then.

The application writes here as the tables' owner, whom no policy binds. The policies decide about posts and comments.
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
        """Return the team and its members."""
        team = demo_team()
        members = Membership.objects.filter(team=team).order_by("id").values_list("user_id", flat=True)
        return Response({"team": {"id": team.pk, "name": team.name}, "members": list(members)})

    def post(self, request: Request) -> Response:
        """Add the user of ``{"user_id": ...}``."""
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
        """Remove the user from the team."""
        Membership.objects.filter(team=demo_team(), user_id=user_id).delete()
        return Response(status=HTTP_204_NO_CONTENT)


def demo_team() -> Team:
    """Return the seeded team. Raises NotFound."""
    team = Team.objects.filter(name=TEAM).first()
    if team is None:
        raise NotFound("no team yet: run manage.py seed")
    return team

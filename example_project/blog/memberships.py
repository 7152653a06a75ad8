"""Who is in the demo's team. Anyone logged in may change it: the page shows what a policy makes of that.

These writes are the application's own, as the tables' owner; only reading posts and comments is up to the policies.
"""

from http import HTTPStatus
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse

from ayb_realtime.accounts.json_api import Refusal, endpoint, json_object
from example_project.blog import fields
from example_project.blog.demo import TEAM
from example_project.blog.models import Membership, Team, User
from example_project.blog.records import authenticated


@endpoint("GET", "POST")
def memberships(request: HttpRequest) -> HttpResponse:
    """Return the team with the ids of its members, or put ``{"user_id": ...}`` into it."""
    authenticated(request)
    team = demo_team()
    if request.method == "POST":
        Membership.objects.get_or_create(team=team, user=user_in(request))
    return JsonResponse({"team": {"id": team.pk, "name": team.name}, "members": members(team)})


@endpoint("DELETE")
def membership(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """Take a user out of the team."""
    authenticated(request)
    Membership.objects.filter(team=demo_team(), user_id=user_id).delete()
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def members(team: Team) -> list[UUID]:
    return list(Membership.objects.filter(team=team).order_by("id").values_list("user_id", flat=True))


def user_in(request: HttpRequest) -> User:
    """Return the user that the body names. Raises ``Refusal`` (400, 404)."""
    user = User.objects.filter(pk=fields.uuid("user_id", json_object(request).get("user_id"))).first()
    if user is None:
        raise Refusal(HTTPStatus.NOT_FOUND, "user not found")
    return user


def demo_team() -> Team:
    """Return the seeded team. Raises ``Refusal`` (404)."""
    team = Team.objects.filter(name=TEAM).first()
    if team is None:
        raise Refusal(HTTPStatus.NOT_FOUND, "no team yet: run manage.py seed")
    return team

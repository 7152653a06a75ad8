"""Who sees what, and which tables are streamed.

Row-level security binds every role but the tables' owner. So Django's own connection sees every row; a request or a
stream under the role ``ayb_authenticated`` sees what the policies show to the user that ``ayb.user_id`` names.
"""

from typing import ClassVar

from django.db import migrations

from ayb_realtime.operations import EnableRealtime, EnableRowSecurity, GrantToSubscribers, Policy

OWN = "author_id = current_setting('ayb.user_id')::uuid"
TEAM = """exists (select 1 from memberships
           where memberships.team_id = comments.team_id
             and memberships.user_id = current_setting('ayb.user_id')::uuid)"""

WRITES = """
grant insert, update, delete on posts to ayb_authenticated;
grant insert, delete on comments to ayb_authenticated;
"""

REVOKE_WRITES = """
revoke insert, delete on comments from ayb_authenticated;
revoke insert, update, delete on posts from ayb_authenticated;
"""


class Migration(migrations.Migration):
    """Policies first, then the streams, then what the example's own API needs beyond reading."""

    dependencies: ClassVar = [
        ("blog", "0001_initial"),
        ("ayb_realtime", "0001_initial"),
    ]
    operations: ClassVar = [
        EnableRowSecurity("Post"),
        Policy("Post", "posts_author", using=OWN),
        Policy("Post", "posts_published", for_="select", using="published"),
        EnableRowSecurity("Comment"),
        Policy("Comment", "comments_team", for_="select", using=TEAM),
        Policy("Comment", "comments_write", for_="insert", with_check=f"{OWN} and {TEAM}"),
        Policy("Comment", "comments_delete", for_="delete", using=OWN),
        GrantToSubscribers("Membership"),
        EnableRealtime("Post"),
        EnableRealtime("Comment"),
        migrations.RunSQL(WRITES, REVOKE_WRITES),
    ]

"""Who sees what, and which tables are streamed.

Row-level security binds every role but the tables' owner. So Django's own connection sees every row; a request or a
stream under the role ``ayb_authenticated`` sees what the policies show to the user that ``ayb.user_id`` names.
"""

from typing import ClassVar

from django.db import migrations

from ayb_realtime.operations import EnableRealtime

POLICIES = """
create policy posts_author on posts
  using (author_id = current_setting('ayb.user_id')::uuid);

create policy posts_published on posts for select
  using (published);

create policy comments_team on comments for select
  using (exists (select 1 from memberships
                  where memberships.team_id = comments.team_id
                    and memberships.user_id = current_setting('ayb.user_id')::uuid));

create policy comments_write on comments for insert
  with check (author_id = current_setting('ayb.user_id')::uuid
              and exists (select 1 from memberships
                           where memberships.team_id = comments.team_id
                             and memberships.user_id = current_setting('ayb.user_id')::uuid));

create policy comments_delete on comments for delete
  using (author_id = current_setting('ayb.user_id')::uuid);

alter table posts enable row level security;
alter table comments enable row level security;
"""

DROP_POLICIES = """
alter table comments disable row level security;
alter table posts disable row level security;
drop policy comments_delete on comments;
drop policy comments_write on comments;
drop policy comments_team on comments;
drop policy posts_published on posts;
drop policy posts_author on posts;
"""

GRANTS = """
grant insert, update, delete on posts to ayb_authenticated;
grant insert, delete on comments to ayb_authenticated;
grant select on memberships to ayb_authenticated;
"""

REVOKE_GRANTS = """
revoke select on memberships from ayb_authenticated;
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
        migrations.RunSQL(POLICIES, DROP_POLICIES),
        EnableRealtime("Post"),
        EnableRealtime("Comment"),
        migrations.RunSQL(GRANTS, REVOKE_GRANTS),
    ]

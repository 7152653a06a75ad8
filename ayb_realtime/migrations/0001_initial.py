"""The schema ``ayb_realtime``: the change log, its batches, and the functions around them."""

from django.db import migrations, models

from ayb_realtime.postgres.operation import RunSQLFile


class Migration(migrations.Migration):
    initial = True
    operations = [
        # It has no table.
        migrations.CreateModel(
            name="Stream",
            fields=[("handle", models.CharField(max_length=32, primary_key=True, serialize=False))],
            options={
                "verbose_name_plural": "Streams and tables",
                "permissions": (
                    ("view_streams", "Can view the relay, the streamed tables, and who streams them"),
                    ("end_streams", "Can end streams"),
                    ("explain_rows", "Can view any row of a streamed table, and who sees it"),
                ),
                "managed": False,
                "base_manager_name": "objects",
                "default_permissions": (),
            },
        ),
        RunSQLFile("schema", reverse_sql="drop schema ayb_realtime cascade"),
        RunSQLFile("change"),
        RunSQLFile("batch"),
        RunSQLFile("epoch"),
        RunSQLFile("new_changes"),
        RunSQLFile("wake"),
        RunSQLFile("refresh"),
        RunSQLFile("ticket"),
        RunSQLFile("disconnect"),
        RunSQLFile("open_streams"),
        RunSQLFile("key_columns"),
        RunSQLFile("json_text"),
        RunSQLFile("column_types"),
        RunSQLFile("shadow"),
        RunSQLFile("row_query"),
        RunSQLFile("json_expression"),
        RunSQLFile("layout"),
        RunSQLFile("capture"),
        RunSQLFile("capture_trigger"),
        RunSQLFile("content"),
        RunSQLFile("announce_altered"),
        RunSQLFile("streamed_tables"),
        RunSQLFile("create_roles"),
        RunSQLFile("role_states"),
        RunSQLFile("enable"),
        RunSQLFile("disable"),
        RunSQLFile("policy_dependencies"),
        RunSQLFile("immutable_functions"),
        RunSQLFile("readable_columns"),
        RunSQLFile("fill_template"),
        RunSQLFile("check_function"),
        RunSQLFile("make_check_function"),
        RunSQLFile("grant_schemas"),
        RunSQLFile("make_check_functions"),
        RunSQLFile("policy_conditions"),
        RunSQLFile("current_values"),
        RunSQLFile("evaluate"),
        RunSQLFile("page"),
        RunSQLFile("comparison"),
        RunSQLFile("deciders"),
        RunSQLFile("fingerprint"),
        RunSQLFile("memberships"),
        RunSQLFile("check_context"),
        RunSQLFile("inexact_reason"),
        RunSQLFile("visible_before"),
        RunSQLFile("prune"),
        RunSQLFile("privileges"),
    ]

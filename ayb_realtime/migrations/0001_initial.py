"""The schema ``ayb_realtime``: the change log, its batches, and the functions around them."""

from django.db import migrations

from ayb_realtime.operations import RunSQLFile


class Migration(migrations.Migration):
    initial = True
    operations = [
        RunSQLFile("schema", reverse_sql="drop schema ayb_realtime cascade"),
        RunSQLFile("change"),
        RunSQLFile("batch"),
        RunSQLFile("epoch"),
        RunSQLFile("wake"),
        RunSQLFile("key_columns"),
        RunSQLFile("capture"),
        RunSQLFile("capture_trigger"),
        RunSQLFile("written"),
        RunSQLFile("content"),
        RunSQLFile("streamed_tables"),
        RunSQLFile("create_roles"),
        RunSQLFile("role_states"),
        RunSQLFile("enable"),
        RunSQLFile("disable"),
        RunSQLFile("policy_dependencies"),
        RunSQLFile("fill_template"),
        RunSQLFile("check_function"),
        RunSQLFile("shortlist"),
        RunSQLFile("fingerprint"),
        RunSQLFile("check_context"),
        RunSQLFile("visible_before"),
        RunSQLFile("prune"),
    ]

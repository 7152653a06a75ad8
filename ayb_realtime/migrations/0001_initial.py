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
        RunSQLFile("written"),
        RunSQLFile("content"),
        RunSQLFile("tables"),
        RunSQLFile("roles"),
        RunSQLFile("role_states"),
        RunSQLFile("enable"),
        RunSQLFile("disable"),
        RunSQLFile("reads"),
        RunSQLFile("visible"),
        RunSQLFile("routes"),
        RunSQLFile("fingerprint"),
        RunSQLFile("run"),
        RunSQLFile("old_row"),
        RunSQLFile("prune"),
    ]

"""We set each of the server's settings, or it cannot matter."""

from ayb_realtime.postgres import database, sessions
from ayb_realtime.postgres.sql_files import JSON_SETTINGS

# Kinds of settings that cannot change what a statement of ours returns, or whether it finishes.
HARMLESS_KINDS = {
    "Reporting and Logging": "what is written to the server's log",
    "Statistics": "what the server counts",
    "Vacuuming": "how vacuum works",
    "Connections and Authentication": "how passwords are kept, and when a connection is taken for lost",
    "Replication": "what a standby waits for",
    "Resource Usage": "how fast, and how much memory: the site's to say",
}


# Settings of the other kinds that we leave as the site has them, by the reason why they cannot matter.
LEFT_TO_THE_SITE = {
    "a transaction's own, which its beginning says": {
        "transaction_deferrable", "transaction_isolation", "transaction_read_only",
    },
    "how our objects are stored, when they are made": {
        "createrole_self_grant", "default_table_access_method", "default_tablespace", "default_toast_compression",
        "temp_tablespaces", "check_function_bodies", "wal_compression", "wal_init_zero", "wal_recycle",
        "wal_skip_threshold", "gin_pending_list_limit", "file_copy_method",
    },
    "what policies and the site's functions make of a text, as in the subscribers' own sessions": {
        "default_text_search_config", "escape_string_warning", "icu_validation_level", "lc_messages", "lc_monetary",
        "lc_numeric", "lc_time", "timezone_abbreviations", "xmlbinary", "xmloption", "restrict_nonsystem_relation_kind",
        "lo_compat_privileges", "gin_fuzzy_search_limit", "plpgsql.check_asserts", "plpgsql.extra_warnings",
        "plpgsql.print_strict_params",
    },
    "ours is written so that it means the same: the suite runs under its oddest value": {
        "plpgsql.extra_errors", "plpgsql.variable_conflict",
    },
    "how long a commit takes": {"commit_delay", "commit_siblings", "deadlock_timeout"},
    "what is told to a client": {"client_min_messages"},
    "in which order a table is read, where we sort": {"synchronize_seqscans"},
    "code that a superuser lets every session load or run": {
        "dynamic_library_path", "event_triggers", "extension_control_path", "extension_destdir",
        "local_preload_libraries", "session_preload_libraries", "session_replication_role",
    },
    "for those who repair or examine Postgres itself": {
        "allow_in_place_tablespaces", "allow_system_table_mods", "backtrace_functions", "debug_discard_caches",
        "debug_logical_replication_streaming", "ignore_checksum_failure", "jit_dump_bitcode", "jit_expressions",
        "jit_tuple_deforming", "trace_notify", "trace_sort", "wal_consistency_checking", "zero_damaged_pages",
    },
    "without workers, none are made to run": {"debug_parallel_query", "force_parallel_mode"},
}  # fmt: skip


# Before version 17, the settings of vacuum are in the category of client settings.
KNOBS = """
select name, case when name ^@ 'vacuum_' then 'Vacuuming' else category end
  from pg_settings where context in ('user', 'superuser') order by name
"""


async def test_each_setting_of_this_server_is_set_by_us_or_cannot_matter(database_url: str) -> None:
    async with await database.connect("default") as connection:
        await connection.execute("do 'begin end'")  # so that plpgsql is loaded, with its settings
        rows = await (await connection.execute(KNOBS)).fetchall()
        wanted = (await sessions.of(connection)).wanted
    left = {name for names in LEFT_TO_THE_SITE.values() for name in names}
    by_us = wanted.keys() | {name for name, _ in rows if name.lower() in JSON_SETTINGS}
    unknown = {
        (name, category)
        for name, category in rows
        if name not in by_us | left and category.partition(" / ")[0] not in HARMLESS_KINDS
    }
    assert not unknown, "say in sessions.py what it has to be, or here why it cannot matter"

"""Settings with the oddest value of each that could matter: the package must not depend on any of them.

The whole suite runs under them. Settings that would break the suite's own statements are set by ``test_sessions``, in
separate databases: read-only transactions, timeouts of milliseconds, sessions that an error ends, JIT, costs of
1e9, row security that refuses, quotes around every name.
"""

PROFILE = {
    "search_path": 'public, pg_catalog, "$user"',
    # Isolation and commit.
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    # Timeouts that are longer than any statement of the suite and shorter than the suite.
    "statement_timeout": "40s",
    "lock_timeout": "20s",
    "transaction_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "60s",
    # How text is read.
    "array_nulls": "off",
    "backslash_quote": "on",
    "escape_string_warning": "off",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "xmloption": "document",
    "xmlbinary": "hex",
    "plpgsql.variable_conflict": "use_column",
    "plpgsql.extra_errors": "all",
    "plpgsql.print_strict_params": "on",
    "check_function_bodies": "off",
    # How values are written.
    "bytea_output": "escape",
    "datestyle": "ISO, DMY",  # Django reads only ISO
    "intervalstyle": "sql_standard",
    "extra_float_digits": "-15",
    "timezone": "Asia/Kathmandu",
    "default_text_search_config": "pg_catalog.simple",
    # The planner.
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "constraint_exclusion": "off",
    "cursor_tuple_fraction": "1",
    "default_statistics_target": "1",
    "from_collapse_limit": "1",
    "join_collapse_limit": "1",
    "geqo_threshold": "2",
    "geqo_effort": "1",
    "max_parallel_workers_per_gather": "8",
    "enable_hashagg": "off",
    "enable_indexscan": "off",
    "enable_partition_pruning": "off",
    "enable_partitionwise_aggregate": "on",
    "enable_partitionwise_join": "on",
    # The rest.
    "client_min_messages": "error",
    "work_mem": "64kB",
    "maintenance_work_mem": "1MB",
    "temp_buffers": "800kB",
    "hash_mem_multiplier": "1",
    "gin_fuzzy_search_limit": "1",
    "stats_fetch_consistency": "none",
    "synchronize_seqscans": "off",
    "createrole_self_grant": "set, inherit",
}

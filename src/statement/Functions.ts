/**
 * Functions of Postgres whose call says something about the session: they leave state behind, or they change or wait for
 * something although the statement is a `select`. Functions of users and extensions cannot be seen through.
 */

const advisoryLock = /^pg_(?:try_)?advisory_lock(?:_shared)?$/

/** Whether a call takes an advisory lock that outlives the transaction. */
export const takesSessionLock = (name: string): boolean => name.startsWith("pg_") && advisoryLock.test(name)

const effects = new Set([
  "currval",
  "cursor_to_xml",
  "database_to_xml",
  "gin_clean_pending_list",
  "lastval",
  "loread",
  "lowrite",
  "nextval",
  "pg_cancel_backend",
  "pg_current_xact_id",
  "pg_export_snapshot",
  "pg_log_backend_memory_contexts",
  "pg_notify",
  "pg_prewarm",
  "pg_promote",
  "pg_reload_conf",
  "pg_rotate_logfile",
  "pg_switch_wal",
  "pg_terminate_backend",
  "pg_wal_replay_pause",
  "pg_wal_replay_resume",
  "query_to_xml",
  "query_to_xml_and_xmlschema",
  "query_to_xmlschema",
  "schema_to_xml",
  "set_config",
  "setseed",
  "setval",
  "table_to_xml",
  "txid_current"
])

const effectPrefixes = [
  "brin_",
  "dblink",
  "lo_",
  "pg_advisory_",
  "pg_backup_",
  "pg_clear_",
  "pg_copy_",
  "pg_create_",
  "pg_drop_",
  "pg_import_",
  "pg_logical_",
  "pg_replication_",
  "pg_restore_",
  "pg_sleep",
  "pg_start_backup",
  "pg_stat_reset",
  "pg_stat_statements_reset",
  "pg_stop_backup",
  "pg_sync_",
  "pg_try_advisory_"
]

/** Whether a call changes, waits for or depends on something beyond the rows it reads. */
export const hasEffect = (name: string): boolean =>
  effects.has(name) || effectPrefixes.some((prefix) => name.startsWith(prefix))

/** Functions, types and words of the grammar, before a parenthesis, that depend on their arguments alone. */
const harmless = new Set(
  (
    "abs all and any array array_agg array_length array_to_string as avg between bit bool_and bool_or btrim by cardinality " +
    "case cast ceil char char_length character coalesce concat concat_ws count cube date_part date_trunc decimal decode " +
    "dense_rank distinct else encode every except exists extract filter first_value float floor from generate_series greatest " +
    "having ilike in intersect interval join json_agg json_build_array json_build_object json_object_agg jsonb_agg " +
    "jsonb_array_elements jsonb_array_elements_text jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text " +
    "jsonb_object_agg jsonb_object_keys lag last_value lateral lead least left length like limit lower ltrim materialized max " +
    "md5 min mod not ntile nullif numeric octet_length offset on or over overlay percentile_cont plainto_tsquery position power " +
    "rank regexp_replace replace right rollup round row row_number row_to_json rtrim select sets sign some split_part sqrt " +
    "string_agg string_to_array strpos substr substring sum then time timestamp timestamptz to_char to_json to_jsonb to_tsquery " +
    "to_tsvector trim trunc ts_rank union unnest upper using values varchar varying websearch_to_tsquery when where within"
  ).split(" ")
)

/** Whether a word before a parenthesis is known to have no effect, and no sight of the transaction that it is in. */
export const isHarmless = (name: string): boolean => harmless.has(name)

const clocks = new Set(["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"])

/** Whether it is the time at which the transaction began. */
export const isClock = (word: string): boolean => clocks.has(word)

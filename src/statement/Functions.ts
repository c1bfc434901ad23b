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

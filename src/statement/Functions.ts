/**
 * Functions of Postgres whose call says something about the session: they leave state behind, or they change or wait for
 * something although the statement is a `select`. Functions of users and extensions cannot be seen through.
 */

const advisoryLock = /^pg_(?:try_)?advisory_lock(?:_shared)?$/

/** Whether a call takes an advisory lock that outlives the transaction. */
export const takesSessionLock = (name: string): boolean => name.startsWith("pg_") && advisoryLock.test(name)

/** Whether a call runs a text that it is given as a query. */
export const runsText = (name: string): boolean =>
  /^(?:query_to_xml|ts_stat$|ts_rewrite$|crosstab|connectby$|xpath_table$)/.test(name)

const effects = new Set(
  (
    "currval cursor_to_xml database_to_xml gin_clean_pending_list lastval loread lowrite nextval pg_cancel_backend " +
    "pg_current_xact_id pg_export_snapshot pg_log_backend_memory_contexts pg_notify pg_prewarm pg_promote pg_reload_conf " +
    "pg_rotate_logfile pg_switch_wal pg_terminate_backend pg_wal_replay_pause pg_wal_replay_resume schema_to_xml set_config " +
    "setseed setval table_to_xml txid_current"
  ).split(" ")
)

const effectPrefixes = (
  "brin_ dblink lo_ pg_advisory_ pg_backup_ pg_clear_ pg_copy_ pg_create_ pg_drop_ pg_import_ pg_logical_ pg_replication_ " +
  "pg_restore_ pg_sleep pg_start_backup pg_stat_reset pg_stat_statements_reset pg_stop_backup pg_sync_ pg_try_advisory_"
).split(" ")

/** Whether a call changes, waits for or depends on something beyond the rows it reads. */
export const hasEffect = (name: string): boolean =>
  effects.has(name) || effectPrefixes.some((prefix) => name.startsWith(prefix))

/** Functions, types and words of the grammar, before a parenthesis, that depend on their arguments alone. */
const harmless = new Set(
  (
    "abs age all and any any_value array array_agg array_append array_cat array_dims array_length array_lower array_ndims " +
    "array_position array_positions array_prepend array_remove array_replace array_to_string array_upper as ascii avg " +
    "between bit bit_and bit_or bool_and bool_or btrim by cardinality case cast ceil char char_length character chr " +
    "clock_timestamp coalesce concat concat_ws convert_from convert_to corr count cube cume_dist current_database " +
    "current_schema current_setting current_time current_timestamp date_bin date_part date_trunc decimal decode dense_rank distinct div else encode every " +
    "except exists exp extract filter first_value float floor format from gcd gen_random_uuid generate_series " +
    "generate_subscripts greatest grouping having ilike in initcap intersect interval isfinite join json_agg " +
    "json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each " +
    "json_each_text json_extract_path json_extract_path_text json_object json_object_agg json_object_keys json_strip_nulls " +
    "json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array " +
    "jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object " +
    "jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array " +
    "jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_typeof justify_days justify_hours " +
    "justify_interval lag last_value lateral lcm lead least left length like limit ln localtime localtimestamp log lower lpad ltrim make_date " +
    "make_interval make_time make_timestamp make_timestamptz materialized max md5 min mod mode not now nth_value ntile nullif " +
    "num_nonnulls num_nulls numeric numnode octet_length offset on or over overlay percent_rank percentile_cont " +
    "percentile_disc pg_typeof phraseto_tsquery pi plainto_tsquery position power quote_ident quote_literal quote_nullable " +
    "random range_agg range_merge rank regexp_count regexp_like regexp_match regexp_matches regexp_replace " +
    "regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rollup round row row_number " +
    "row_to_json rpad rtrim scale select sets setweight sha224 sha256 sha384 sha512 sign some split_part sqrt starts_with statement_timestamp " +
    "stddev stddev_pop stddev_samp string_agg string_to_array string_to_table strip strpos substr substring sum then time " +
    "timestamp timestamptz to_char to_date to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim " +
    "trim_scale trunc ts_headline ts_rank ts_rank_cd tsvector_to_array union unistr unnest upper using values var_pop " +
    "var_samp varchar variance varying version websearch_to_tsquery when where width_bucket within xmlagg"
  ).split(" ")
)

/** Whether a word before a parenthesis is known to have no effect. */
export const isHarmless = (name: string): boolean => harmless.has(name)

const withoutArguments = new Set(
  (
    "clock_timestamp cume_dist current_database current_schema dense_rank gen_random_uuid now percent_rank pi random rank " +
    "row_number statement_timestamp transaction_timestamp version"
  ).split(" ")
)

/** Whether a function of Postgres takes no arguments and has no effect: no other one of that name comes before it. */
export const takesNothing = (name: string): boolean => withoutArguments.has(name)

/** Words before a parenthesis that the grammar reserves, so that no function can have such a name. */
const reserved = new Set(
  (
    "all and any array as case cast coalesce distinct else except exists extract from greatest group grouping having in " +
    "intersect lateral least limit not nullif offset on or row select some then union using values when where with"
  ).split(" ")
)

/** Words that are grammar behind these words alone, and may name a function elsewhere. */
const behind: Readonly<Record<string, ReadonlySet<string>>> = {
  by: new Set(["order", "group", "partition"]),
  filter: new Set([")"]),
  over: new Set([")"]),
  materialized: new Set(["as", "not"])
}

/** Whether a word before a parenthesis is one of the grammar's, behind this word or symbol; a quoted name never is. */
export const isGrammar = (word: string, last: string): boolean =>
  last !== "." && (reserved.has(word) || (Object.hasOwn(behind, word) && behind[word]?.has(last) === true))

/**
 * Every class of SQLSTATE arrives with its code, its name and all that the server says about it, and has the reason that
 * a program would want to catch.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { isSqlError, isSqlErrorReason } from "effect/sql/SqlError"
import { database } from "./support/database.ts"
import { teller } from "./support/telling.ts"

/** One code of each class, and the codes that have a reason of their own. */
const codes = [
  "01000 02000 03000 08000 08003 08006 09000 0A000 0B000 0F000 0L000 0P000 0Z000 10608 20000 21000 22000 22012 22P02",
  "23000 23502 23503 23505 23514 23P01 24000 25000 25006 25P02 25P03 25P04 26000 27000 28000 28P01 2B000 2BP01 2D000 2F000 34000 38000",
  "39000 3B000 3D000 3F000 40000 40001 40002 40003 40P01 42000 42501 42601 42703 42P01 44000 53000 53100 53200 53300 53400",
  "54000 55000 55006 55P03 57000 57014 57P01 57P02 57P03 57P04 57P05 58000 58P01 F0000 HV000 P0001 P0002 XX000 XX001",
  "AB123 ZZZZZ"
]
  .join(" ")
  .split(" ")

it.effect("each class of SQLSTATE is a SqlError with a reason, the fields of the server and what to do", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const { failing } = yield* teller(settings)
    const seen: Array<string> = []
    for (const code of codes) {
      const text = `do $$ begin raise exception 'it went wrong' using errcode = '${code}', detail = 'the detail', hint = 'the hint',
        schema = 'a', table = 'b', column = 'c', datatype = 'd', constraint = 'e'; end $$`
      const error = yield* failing(text)
      expect(isSqlError(error)).toBe(true)
      expect(isSqlErrorReason(error.reason)).toBe(true)
      expect(error.reason.cause).toBeInstanceOf(Error)
      expect(error.reason.cause).toMatchObject({
        message: "it went wrong",
        code,
        severity: "ERROR",
        hint: "the hint",
        where: "PL/pgSQL function inline_code_block line 1 at RAISE",
        schema: "a",
        table: "b",
        column: "c",
        dataType: "d",
        constraint: "e"
      })
      const said = error.message.split("\n")
      expect(said[0]).toContain(`it went wrong (SQLSTATE ${code}`)
      expect(said).toContain("Detail: the detail")
      expect(said).toContain("Hint: the hint")
      expect(said).toContain("At: table a.b, column c, type a.d, constraint e")
      seen.push(
        `${code} ${/\(SQLSTATE \S+ ?(.*)\)/.exec(said[0]!)?.[1] || "?"}: ${error.reason._tag}${error.isRetryable ? ", again" : ""}`
      )
    }
    expect(seen.join("\n")).toMatchInlineSnapshot(`
      "01000 warning: UnknownError
      02000 no_data: UnknownError
      03000 sql_statement_not_yet_complete: UnknownError
      08000 connection_exception: ConnectionError, again
      08003 connection_does_not_exist: ConnectionError, again
      08006 connection_failure: ConnectionError, again
      09000 triggered_action_exception: UnknownError
      0A000 feature_not_supported: UnknownError
      0B000 invalid_transaction_initiation: UnknownError
      0F000 locator_exception: UnknownError
      0L000 invalid_grantor: UnknownError
      0P000 invalid_role_specification: UnknownError
      0Z000 diagnostics_exception: UnknownError
      10608 invalid_argument_for_xquery: UnknownError
      20000 case_not_found: UnknownError
      21000 cardinality_violation: UnknownError
      22000 data_exception: UnknownError
      22012 division_by_zero: UnknownError
      22P02 invalid_text_representation: UnknownError
      23000 integrity_constraint_violation: ConstraintError
      23502 not_null_violation: ConstraintError
      23503 foreign_key_violation: ConstraintError
      23505 unique_violation: UniqueViolation
      23514 check_violation: ConstraintError
      23P01 exclusion_violation: ConstraintError
      24000 invalid_cursor_state: UnknownError
      25000 invalid_transaction_state: UnknownError
      25006 read_only_sql_transaction: UnknownError
      25P02 in_failed_sql_transaction: UnknownError
      25P03 idle_in_transaction_session_timeout: ConnectionError, again
      25P04 transaction_timeout: StatementTimeoutError, again
      26000 invalid_sql_statement_name: UnknownError
      27000 triggered_data_change_violation: UnknownError
      28000 invalid_authorization_specification: AuthenticationError
      28P01 invalid_password: AuthenticationError
      2B000 dependent_privilege_descriptors_still_exist: UnknownError
      2BP01 dependent_objects_still_exist: UnknownError
      2D000 invalid_transaction_termination: UnknownError
      2F000 sql_routine_exception: UnknownError
      34000 invalid_cursor_name: UnknownError
      38000 external_routine_exception: UnknownError
      39000 external_routine_invocation_exception: UnknownError
      3B000 savepoint_exception: UnknownError
      3D000 invalid_catalog_name: ConnectionError
      3F000 invalid_schema_name: UnknownError
      40000 transaction_rollback: UnknownError
      40001 serialization_failure: SerializationError, again
      40002 transaction_integrity_constraint_violation: ConstraintError
      40003 statement_completion_unknown: ConnectionError, again
      40P01 deadlock_detected: DeadlockError, again
      42000 syntax_error_or_access_rule_violation: SqlSyntaxError
      42501 insufficient_privilege: AuthorizationError
      42601 syntax_error: SqlSyntaxError
      42703 undefined_column: SqlSyntaxError
      42P01 undefined_table: SqlSyntaxError
      44000 with_check_option_violation: ConstraintError
      53000 insufficient_resources: UnknownError
      53100 disk_full: UnknownError
      53200 out_of_memory: UnknownError
      53300 too_many_connections: ConnectionError, again
      53400 configuration_limit_exceeded: UnknownError
      54000 program_limit_exceeded: UnknownError
      55000 object_not_in_prerequisite_state: UnknownError
      55006 object_in_use: UnknownError
      55P03 lock_not_available: LockTimeoutError, again
      57000 operator_intervention: UnknownError
      57014 query_canceled: StatementTimeoutError, again
      57P01 admin_shutdown: ConnectionError, again
      57P02 crash_shutdown: ConnectionError, again
      57P03 cannot_connect_now: ConnectionError, again
      57P04 database_dropped: ConnectionError, again
      57P05 idle_session_timeout: ConnectionError, again
      58000 system_error: UnknownError
      58P01 undefined_file: UnknownError
      F0000 config_file_error: UnknownError
      HV000 fdw_error: UnknownError
      P0001 raise_exception: UnknownError
      P0002 no_data_found: UnknownError
      XX000 internal_error: UnknownError
      XX001 data_corrupted: UnknownError
      AB123 ?: UnknownError
      ZZZZZ ?: UnknownError"
    `)
  })
)

/** The types whose decoding is measured, with an expression of row number `i` that makes usual values of each. */

export interface ValueFound {
  readonly name: string
  /** Bytes of the printed value, on average. */
  readonly length: number
  /** For the 1 000 rows, the round trip included. */
  readonly microseconds: number
  /** The speed beside `text`, by the clock: 0.5 is twice the time. */
  readonly speed: number
  /** The same by the processor time of the reading process. */
  readonly cpu: number
}

const at = "timestamptz '2024-01-01 00:00:00+00' + i * interval '61 minutes 1.25 seconds'"
const wall = "timestamp '2024-01-01 00:00:00' + i * interval '61 minutes 1.25 seconds'"

/**
 * Those of the last row of the type table come first: strings that are read from a binary form. What stands behind a comma in
 * a name says what its values are like: those of the plane without one have coordinates of 17 digits.
 */
export const strings: ReadonlyArray<readonly [name: string, expression: string]> = [
  ["date", "date '2020-01-01' + i"],
  ["time", "time '00:00' + i * interval '17.25 seconds'"],
  ["timetz", "(timetz '00:00+02' + i * interval '17.25 seconds')"],
  ["interval", "i * interval '1 month 3 days 04:05:06.789'"],
  ["money", "i * 1234.56"],
  ["inet", "'10.0.0.0'::inet + i"],
  ["cidr", "('2001:db8:' || to_hex(i) || '::/48')"],
  ["macaddr", "('08:00:2b:01:' || lpad(to_hex(i / 100), 2, '0') || ':' || lpad(to_hex(i % 100), 2, '0'))"],
  [
    "macaddr8",
    "('08:00:2b:01:02:03:' || lpad(to_hex(i / 100), 2, '0') || ':' || lpad(to_hex(i % 100), 2, '0'))"
  ],
  ["int4range", "int4range(i, i + 10)"],
  ["int8range", "int8range(i * 10000000000, i * 10000000000 + 10)"],
  ["numrange", "numrange(i + 0.5, i + 10.25)"],
  ["daterange", "daterange(date '2020-01-01' + i, date '2020-01-05' + i)"],
  ["tsrange", `tsrange(${wall}, ${wall} + interval '90 minutes')`],
  ["tstzrange", `tstzrange(${at}, ${at} + interval '90 minutes')`],
  ["int4multirange", "int4multirange(int4range(i, i + 10), int4range(i + 20, i + 30))"],
  [
    "int8multirange",
    "int8multirange(int8range(i * 10000000000, i * 10000000000 + 10), int8range(i * 10000000000 + 20, null))"
  ],
  ["nummultirange", "nummultirange(numrange(i + 0.5, i + 10.25), numrange(i + 20, i + 30.125))"],
  [
    "datemultirange",
    "datemultirange(daterange(date '2020-01-01' + i, date '2020-01-05' + i), daterange(date '2021-01-01' + i, null))"
  ],
  [
    "tsmultirange",
    `tsmultirange(tsrange(${wall}, ${wall} + interval '1 hour'), tsrange(${wall} + interval '2 hours', ${wall} + interval '3 hours'))`
  ],
  [
    "tstzmultirange",
    `tstzmultirange(tstzrange(${at}, ${at} + interval '1 hour'), tstzrange(${at} + interval '2 hours', ${at} + interval '3 hours'))`
  ],
  ["point", "point(i / 7.0, -i / 3.0)"],
  ["line", "line(point(i, 0), point(0, i / 3.0))"],
  ["lseg", "lseg(point(i / 7.0, 1), point(2, i / 3.0))"],
  ["box", "box(point(i / 7.0, 1), point(2, i / 3.0))"],
  ["path", "format('[(%s,1),(2,%s),(3.5,4.5)]', i / 7.0, i / 3.0)"],
  ["polygon", "format('((%s,1),(2,%s),(3.5,4.5),(0,0))', i / 7.0, i / 3.0)"],
  ["circle", "circle(point(i / 7.0, 1), i / 3.0)"],
  ["point, 6 decimals", "point(round(i / 7.0, 6), -round(i / 3.0, 6))"],
  ["path, 6 decimals", "format('[(%s,1),(2,%s),(3.5,4.5)]', round(i / 7.0, 6), round(i / 3.0, 6))"],
  ["polygon, 6 decimals", "format('((%s,1),(2,%s),(3.5,4.5),(0,0))', round(i / 7.0, 6), round(i / 3.0, 6))"],
  ["bit(64)", "i::bit(64)"],
  ["varbit", "(i * 1000003::int8)::bit(48)::varbit"],
  ["tsvector", "to_tsvector('simple', 'the quick brown fox number ' || i || ' jumps over the lazy dog')"],
  ["tsquery", "to_tsquery('simple', 'quick & brown | fox' || i || ' & !dog:*A')"],
  ["jsonpath", "('$.items[*] ? (@.price > ' || i || ')')"],
  ["pg_lsn", "'16/B3000000'::pg_lsn + i"],
  ["tid", "format('(%s,%s)', i * 100, i % 200)"],
  ["xid", "(i * 100003)::text"],
  ["xid8", "(i * 10000000000::int8)::text"],
  ["pg_snapshot", "format('%s:%s:%s,%s', i * 1000, i * 1000 + 50, i * 1000 + 7, i * 1000 + 9)"],
  ["int2vector", "format('%s %s %s', i, i + 1, i + 2)"],
  ["oidvector", "format('%s %s %s', i, i + 1, i + 2)"]
]

/** Others that are not read by the driver alone. */
export const others: ReadonlyArray<readonly [name: string, expression: string]> = [
  ["text", "'a text of row number ' || i"],
  ["numeric", "i * 12345.6789"],
  ["uuid", "md5(i::text)"],
  ["timestamptz", at],
  ["timestamp", wall],
  ["int8", "i * 1000003::int8"],
  ["bytea", "decode(md5(i::text), 'hex')"],
  ["jsonb", "jsonb_build_object('id', i, 'name', 'row ' || i)"],
  ["int4[]", "array[i, i + 1, i + 2, i + 3, i + 4]"],
  ["text[]", "array['row ' || i, 'two', 'three']"],
  ["timestamptz[]", `array[${at}, ${at} + interval '1 hour']`],
  ["date[]", "array[date '2020-01-01' + i, date '2021-01-01' + i]"],
  ["value_pair", "row(i, 'row ' || i)"],
  ["value_pair[]", "array[row(i, 'row ' || i)::value_pair, row(i + 1, 'row')::value_pair]"]
]

export const values = [...strings, ...others]

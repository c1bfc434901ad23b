/**
 * The file of schemas: a `Model.Class` for each table, with its variants for rows that go in, and `Tables` from them.
 */
import { keyOf, literalOf } from "./Identifiers.ts"
import { comment, header } from "./PrintTypes.ts"
import type { Field, Plain, Shape, Shapes } from "./Shape.ts"

const plains: Readonly<Record<Plain, string>> = {
  boolean: "Schema.Boolean",
  number: "Schema.Number",
  bigint: "Schema.BigInt",
  string: "Schema.String",
  Date: "Schema.Date",
  Uint8Array: "Schema.Uint8Array",
  unknown: "Schema.Unknown"
}

const print = (shape: Shape): string => {
  switch (shape.tag) {
    case "plain":
      return plains[shape.name]
    case "hstore":
      return "Schema.Record(Schema.String, Schema.NullOr(Schema.String))"
    case "named":
      return shape.name
    case "given":
      return shape.text
    case "array":
      return `Schema.Array(${print(shape.of)})`
    case "nullable":
      return shape.of.tag === "plain" && shape.of.name === "unknown"
        ? plains.unknown
        : `Schema.NullOr(${print(shape.of)})`
    case "union":
      return `Schema.Union([${shape.of.map(print).join(", ")}])`
  }
}

/** A field with its variants; the schema is what the field decodes to. */
const modelField = (field: Field, isInsertable: boolean): string => {
  const schema = print(field.out)
  if (field.in === undefined || !isInsertable) return `Model.GeneratedByDb(${schema})`
  return field.isOptional ? `optional(${schema})` : schema
}

const helper = [
  "/** A column that a row to be stored may lack. */",
  "const optional = <S extends Schema.Top>(schema: S) =>",
  "  Model.Field({",
  "    select: schema,",
  "    insert: Schema.optional(schema),",
  "    update: Schema.optional(schema),",
  "    json: schema,",
  "    jsonCreate: Schema.optional(schema),",
  "    jsonUpdate: Schema.optional(schema)",
  "  })",
  ""
]

const listed = (fields: ReadonlyArray<Field>, schemaOf: (field: Field) => string): ReadonlyArray<string> =>
  fields.flatMap((field, index) => [
    ...comment(field.comment, "  "),
    `  ${keyOf(field.name)}: ${schemaOf(field)}${index < fields.length - 1 ? "," : ""}`
  ])

export const printSchemas = ({ composites, enums, tables }: Shapes): string => {
  const declared = [
    ...enums.flatMap(({ comment: text, labels, name }) => [
      ...comment(text),
      `export const ${name} = Schema.Literals([${labels.map(literalOf).join(", ")}])`,
      `export type ${name} = typeof ${name}.Type`,
      ""
    ]),
    ...composites.flatMap(({ comment: text, fields, name }) => [
      ...comment(text),
      `export const ${name} = Schema.Struct({`,
      ...listed(fields, ({ out }) => print(out)),
      "})",
      ""
    ])
  ]
  const models = tables.flatMap(({ comment: text, fields, isInsertable, name }) => [
    ...comment(text),
    `export class ${name} extends Model.Class<${name}>(${JSON.stringify(name)})({`,
    ...listed(fields, (field) => modelField(field, isInsertable)),
    "}) {}",
    ""
  ])
  const known = tables.map(({ isInsertable, key, name }) => {
    const insert = isInsertable ? `typeof ${name}.insert.Encoded` : "never"
    return `  readonly ${keyOf(key)}: { readonly row: typeof ${name}.Encoded; readonly insert: ${insert} }`
  })
  const body = [...declared, ...models]
  const uses = (word: string) => body.some((line) => line.includes(word))
  return [
    ...header,
    ...(uses("Schema.") || uses("optional(") ? ['import { Schema } from "effect"'] : []),
    ...(uses("Model.") ? ['import { Model } from "effect/schema"'] : []),
    "",
    ...(uses("optional(") ? helper : []),
    ...body,
    "/** The tables of the database: `PG.make<Tables>(…)`. */",
    "export interface Tables {",
    ...known,
    "}",
    ""
  ].join("\n")
}

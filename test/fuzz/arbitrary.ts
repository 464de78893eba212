import fc, { type Arbitrary } from 'fast-check'
import { sized } from '../size.ts'

/** What of JSON Schema our documents use. */
export type Schema = {
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  type?: string | string[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  pattern?: string
  format?: string
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
}

/** Texts that break what trusts them: statements, paths, templates, lone surrogates, U+0000. */
export const hostile = fc.constantFrom(
  `' or 1=1 --`,
  `'; drop table social.users; --`,
  `1); select pg_sleep(30); --`,
  `$1`,
  `\\'; rollback; --`,
  '%00',
  '\u0000',
  '\ud800',
  '../../etc/passwd',
  '{{7*7}}',
  '<script>alert(1)</script>',
  '\r\nx-injected: 1',
  '__proto__',
  'constructor',
  'NaN',
  '-9223372036854775809',
  '1e999',
  'x'.repeat(6000),
  '\u202e\u0301\ufeff',
  '',
)

/** Values that fit the schema. */
export function fitting(schema: Schema): Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(fitting))
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (type === 'object') return fittingObject(schema)
  if (type === 'array')
    return fc.array(fitting(schema.items ?? {}), {
      minLength: schema.minItems,
      maxLength: Math.min(schema.maxItems ?? 5, 5),
    })
  if (type === 'boolean') return fc.boolean()
  if (type === 'null') return fc.constant(null)
  if (type === 'integer') return fc.integer({ min: schema.minimum ?? -1000, max: schema.maximum ?? 1_000_000 })
  if (type === 'number') return fc.double({ min: schema.minimum, max: schema.maximum, noNaN: true })
  if (type === 'string') return fittingText(schema)
  return fc.jsonValue()
}

function fittingObject({ properties = {}, required = [] }: Schema): Arbitrary<unknown> {
  const fields = Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, fitting(schema)]))
  return fc.record(fields, { requiredKeys: required.filter((name) => name in fields) })
}

function fittingText({ pattern, format, minLength, maxLength = 100 }: Schema): Arbitrary<string> {
  if (format === 'date-time') return fc.date({ noInvalidDate: true }).map((date) => date.toISOString())
  if (pattern?.startsWith('^[1-9]')) return fc.integer({ min: 1, max: 12 }).map(String)
  if (pattern && pattern !== '\\S') return fc.stringMatching(new RegExp(pattern))
  return fc.string({ unit: 'binary', minLength, maxLength: Math.min(maxLength, 100) })
}

/** Values that fit, and variants of them with something missing, wrong, hostile or unheard of. */
export function wild(schema: Schema): Arbitrary<unknown> {
  const bad = fc.oneof(fc.jsonValue({ maxDepth: 3 }), hostile)
  const changed = fc.tuple(fitting(schema), fc.nat(), bad, fc.boolean()).map(([value, n, wrong, drop]) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return wrong
    const name = Object.keys(value)[n % (Object.keys(value).length + 1)]
    if (name === undefined) return { ...value, unheardOf: wrong }
    return drop ? { ...value, [name]: undefined } : { ...value, [name]: wrong }
  })
  return fc.oneof(
    { weight: 4, arbitrary: fitting(schema) },
    { weight: 4, arbitrary: changed },
    { weight: 1, arbitrary: bad },
  )
}

/** How many cases: few in every run of the tests, FUZZ_RUNS=100000 by hand. */
export const runs = Number(process.env.FUZZ_RUNS ?? sized(300, 40))

// FUZZ_MINUTES=30 stops a search that has more cases than time. Failures found until then count.
const minutes = Number(process.env.FUZZ_MINUTES ?? 0)
if (minutes > 0) fc.configureGlobal({ interruptAfterTimeLimit: minutes * 60_000, markInterruptAsFailure: false })

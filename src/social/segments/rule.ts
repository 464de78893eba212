import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { isWallTime } from '../../base/wall-time.ts'
import { fail } from '../../errors.ts'
import { ExternalId, Id } from '../../protocol/id.ts'
import { LANGUAGE_TAG } from '../../protocol/patterns.ts'

/** Roles that an account may have. */
const Role = Type.String({ pattern: '^(user|reader|operator|admin)$' })
const Seconds = Type.Integer({ minimum: 1, maximum: 315_360_000, description: 'Seconds' })
const Time = Type.String({
  format: 'date-time',
  pattern: '^\\d{4}-\\d\\d-\\d\\d[Tt ]\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?([Zz]|[+-]\\d\\d:\\d\\d)$',
})
const MOST_IDS = 10_000

/** Conditions on one user. */
const conditions = {
  role: Role,
  createdAfter: Time,
  createdBefore: Time,
  activeWithin: Type.Integer({ ...Seconds, description: 'Seconds since the user last used a session, at most' }),
  inactiveFor: Type.Integer({ ...Seconds, description: 'Seconds since the user last used a session, at least' }),
  follows: Type.String({ ...Id, description: 'Follows this user' }),
  followedBy: Type.String({ ...Id, description: 'Is followed by this user' }),
  subscribedTo: Type.String({ ...Id, description: 'Subscribes to the posts of this user' }),
  hasChannel: Type.String({ pattern: '^(inApp|email|webPush)$', examples: ['email'] }),
  locale: Type.String({
    pattern: LANGUAGE_TAG,
    maxLength: 35,
    description: 'A language with its regions: de is also de-AT',
  }),
  ids: Type.Array(Id, { minItems: 1, maxItems: MOST_IDS }),
  externalIds: Type.Array(ExternalId, { minItems: 1, maxItems: MOST_IDS }),
}
type Conditions = { [Name in keyof typeof conditions]: Static<(typeof conditions)[Name]> }
export type ConditionName = keyof Conditions

type One<T> = { [Name in keyof T]: { [Only in Name]: T[Only] } }[keyof T]
export type Rule = { all: Rule[] } | { any: Rule[] } | { not: Rule } | One<Conditions>

const Nested = Type.Object({}, { description: 'A rule', additionalProperties: true })

/** The outer layer of a rule, as the document describes it; `checkRule` checks all layers. */
export const RuleSchema = Type.Partial(
  Type.Object({
    all: Type.Array(Nested, { minItems: 1, maxItems: 100, description: 'Rules that all apply' }),
    any: Type.Array(Nested, { minItems: 1, maxItems: 100, description: 'Rules of which at least one applies' }),
    not: Nested,
    ...conditions,
  }),
  {
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
    examples: [{ all: [{ role: 'user' }, { not: { locale: 'de' } }] }],
  },
)

const MOST_CONDITIONS = 100
const DEEPEST = 10

const checks = new Map(
  Object.entries(conditions).map(([name, schema]) => [name, TypeCompiler.Compile(withoutFormat(schema))]),
)

/**
 * Checks a rule.
 * @throws {AppError} VALIDATION_FAILED that names the place of the fault below `pointer`
 */
export function checkRule(rule: unknown, pointer = '/rule'): Rule {
  let count = 0
  const check = (value: unknown, at: string, depth: number): void => {
    count += 1
    if (count > MOST_CONDITIONS) throw wrong(`A rule has ${MOST_CONDITIONS} parts at most`, pointer)
    if (depth > DEEPEST) throw wrong(`Rules are nested ${DEEPEST} levels deep at most`, at)
    const entries = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : []
    const [[name, inner] = ['', undefined], ...more] = entries
    if (name === '' || more.length > 0) throw wrong('A rule is an object with exactly one condition', at)
    const here = `${at}/${name}`
    if (name === 'not') {
      check(inner, here, depth + 1)
      return
    }
    if (name === 'all' || name === 'any') {
      if (!Array.isArray(inner) || inner.length === 0) throw wrong(`${name} takes a list of rules`, here)
      inner.forEach((each, index) => {
        check(each, `${here}/${index}`, depth + 1)
      })
      return
    }
    const condition = checks.get(name)
    if (!condition) throw wrong(`There is no condition ${name}`, here)
    const fault = condition.Errors(inner).First()
    if (fault) throw wrong(`${name}: ${fault.message}`, here + fault.path)
    if (name.startsWith('created') && !isTime(String(inner))) throw wrong(`${name} must be a time`, here)
  }
  check(rule, pointer, 0)
  return rule as Rule
}

/** Whether PostgreSQL accepts the time. It has no offset of 16 hours or more. */
function isTime(text: string): boolean {
  const wall = text.slice(0, 'yyyy-mm-ddThh:mm:ss'.length).toUpperCase().replace(' ', 'T')
  const [, hours = '0'] = /[+-](\d\d):\d\d$/.exec(text) ?? []
  return isWallTime(wall) && !Number.isNaN(Date.parse(text)) && Number(hours) < 16
}

/** Schemas without formats, because the compiler of TypeBox does not know any; the patterns check the same. */
function withoutFormat<T extends object>(schema: T): T {
  return { ...schema, format: undefined }
}

function wrong(detail: string, pointer: string) {
  return fail('VALIDATION_FAILED', detail, { pointer })
}

import { fail } from '../../errors.ts'

/** Functions that an SQL segment may call, and words that may stand before a parenthesis. */
const ALLOWED = new Set(
  `abs age all and any array as avg between btrim by case cast ceil char_length coalesce count current_date date date_part date_trunc distinct else
   except exists extract filter first_value floor from greatest having in int interval intersect is isnull join lateral least left length like
   lower ltrim max min mod not now nullif on or over partition percentile_cont position rank regexp_replace replace right round row_number rtrim
   select split_part starts_with strpos substr substring sum then trim union upper using values when where with within`
    .trim()
    .split(/\s+/),
)

const tokens = /'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|--|\/\*|\S/g

/**
 * Checks the text of an SQL segment before it reaches the database: one select that calls known functions only. The database is the
 * second guard: notify runs it as ravenpost_readonly, which cannot write. The list of functions keeps out those that would read files,
 * change settings of the connection, or run a text. PostgreSQL also calls a function of one argument that is written like a column:
 * `(x).f`, `x[1].f`, `x.f`. The first two are refused here, the third by social.users_of_query, which knows all functions.
 * @throws {AppError} VALIDATION_FAILED
 */
export function checkSql(sql: string, pointer = '/sql'): string {
  const wrong = (detail: string) => fail('VALIDATION_FAILED', detail, { pointer })
  const found = sql.match(tokens) ?? []
  const first = found[0]?.toLowerCase()
  if (first !== 'select' && first !== 'with') throw wrong('An SQL segment is a select of user ids')
  let depth = 0
  found.forEach((token, index) => {
    const next = found[index + 1]
    if (token === "'" || token === '"') throw wrong('A quotation mark is not closed')
    if ([';', '--', '/*', '$', '\\'].includes(token)) throw wrong(`An SQL segment may not contain ${token}`)
    if (/^(e|u|b|x|n)$/i.test(token) && (next?.startsWith("'") || next === '&'))
      throw wrong(`An SQL segment may not contain strings that begin with ${token}`)
    if (token.startsWith("'") && token.includes('\\')) throw wrong('An SQL segment may not contain \\')
    if (token.startsWith('"') && token.includes("'")) throw wrong(`An SQL segment may not contain ${token}`)
    if ((token === ')' || token === ']') && next === '.') throw wrong(`An SQL segment may not contain ${token}.`)
    if (token === '(') depth += 1
    if (token === ')') depth -= 1
    if (depth < 0) throw wrong('A parenthesis is closed that was not opened')
    const isName = /^["A-Za-z_\u0080-\uffff]/.test(token)
    const isAllowed = ALLOWED.has(token.replaceAll('"', '').toLowerCase()) && found[index - 1] !== '.'
    if (isName && next === '(' && !isAllowed) throw wrong(`An SQL segment may not call ${token}`)
  })
  if (depth > 0) throw wrong('A parenthesis is not closed')
  return sql
}

/** A column's type in PostgreSQL, and its value in an item. */
type Column<Item, Context> = readonly [type: string, read: (item: Item, context: Context) => unknown]

/** The columns of rows that a statement receives as parameters, by name. */
export type ColumnsOf<Item, Context = void> = Record<string, Column<Item, Context>>

export type Options = {
  /** Number of the first SQL parameter. */
  first?: number
  /** Adds a column of this name: the position of each row, from 1. */
  place?: string
  /**
   * Hides the number of rows from the planner in sub-selects, so that it plans once instead of per batch. For statements that
   * often get few rows. Not the default: to send 1,000 Web Pushes, plans then read 63,000 rows instead of 44,000.
   */
  hidden?: boolean
}

export type Columns<Item, Context> = {
  /** `unnest($1::bigint[], $2::text[]) w (user_id, source_id)`, for a `from` clause. */
  from: string
  /** The SQL parameter after these columns, such as `$3`. */
  next: string
  /** The parameters: one array per column, as text. `context`: what else the columns read from. */
  values: (items: readonly Item[], context: Context) => string[]
}

/**
 * Rows `w` for a statement that handles many items. Each column appears once, with its name, its type and its value.
 * Define it beside the statement, so that the text is built once.
 */
export function columns<Item, Context = void>(
  columns: ColumnsOf<Item, Context>,
  { first = 1, place, hidden = false }: Options = {},
): Columns<Item, Context> {
  const names = Object.keys(columns)
  const defined = Object.values(columns)
  const arrays = defined.map(([type], index) => `$${first + index}::${type}[]`)
  const parameters = arrays.map((array) => (hidden ? `(select ${array})` : array)).join(', ')
  const from = place
    ? `unnest(${parameters}) with ordinality w (${[...names, place].join(', ')})`
    : `unnest(${parameters}) w (${names.join(', ')})`
  return {
    from,
    next: `$${first + defined.length}`,
    values: (items, context) => defined.map(([, read]) => arrayOf(items, (item) => read(item, context))),
  }
}

/**
 * An array of ids as a parameter, such as `$1`, for `= any(…)`. Hides the number of ids, like the option `hidden`: a
 * plan for one id looks cheaper than the plan for any number, so PostgreSQL would plan a small batch each time.
 */
export function hiddenIds(parameter: string): string {
  return `(select ${parameter}::bigint[])::bigint[]`
}

/**
 * An array as PostgreSQL reads it. pg could write it, but quotes numbers too and searches each element twice, which took
 * a sixth of the worker's time.
 */
function arrayOf<Item>(items: readonly Item[], read: (item: Item) => unknown): string {
  let text = ''
  for (const item of items) text += `,${elementOf(read(item))}`
  return `{${text.slice(1)}}`
}

function elementOf(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = value instanceof Date ? value.toISOString() : String(value)
  return needsEscape.test(text) ? `"${text.replaceAll(needsEscapes, '\\$&')}"` : `"${text}"`
}

const needsEscape = /["\\]/
const needsEscapes = /["\\]/g

/**
 * Joins rows of a table to each row before it by a separate index lookup. `offset 0` prevents other joins: where the
 * planner expects inboxes to be small, it would read whole inboxes for a batch that needs one row of each.
 */
export function oneByOne(lookup: string, name: string): string {
  return `cross join lateral (select ${name}.* from ${lookup} offset 0) ${name}`
}

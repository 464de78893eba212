import pg from 'pg'
import type { Test } from 'tap'

type Plan = {
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  'WAL Records': number
  'WAL FPI': number
  'WAL Bytes': number
}
type Explained = { 'Query Text': string; Plan: Plan; Triggers?: { Calls: number }[] }

/** Costs that depend on statements and data, not on the machine or its load. */
export type Cost = {
  /** Statements sent, and how often a connection waited for the answers to all that it had sent. */
  statements: number
  roundTrips: number
  /** Pages looked at. */
  pages: number
  /** Calls of triggers, such as the checks of foreign keys, whose pages are not part of `pages`. */
  triggers: number
  walRecords: number
  walBytes: number
  /** Pages written to the WAL whole, after a checkpoint. They depend on when it was. */
  wholePages: number
}

export type Statements = {
  /** Every statement observed so far. */
  texts: string[]
  /** Pages looked at since `forget`. */
  pages: number
  /** All since `forget`; without the records of the commits themselves. */
  cost: Cost
  /** How often each statement was sent since `forget`, by its name or text. */
  sent: Map<string, number>
  seen(text: RegExp): boolean
  /** Statements that read more than this many pages in one execution, with the maximum of each. */
  above(pages: number): string[]
  forget(): void
}

/**
 * Observes all statements that this process runs on a database from now on, those of graphile-worker too: auto_explain sends each plan to
 * its client as a notice (PostgreSQL manual, "auto_explain").
 */
export async function observeStatements(t: Test, url: string): Promise<Statements> {
  const mostPages = new Map<string, number>()
  const sent = new Map<string, number>()
  let cost = nothing()
  const note = ({ message = '' }: { message?: string | undefined }) => {
    if (!message.includes('plan:\n')) return
    const {
      'Query Text': text,
      Plan: plan,
      Triggers: triggers = [],
    }: Explained = JSON.parse(message.slice(message.indexOf('{')))
    // They only run DDL, which reads the catalog, and is observed nowhere else.
    if (/^select notify\.(attach|drop)_partition\(/.test(text)) return
    const looked = plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
    cost.pages += looked
    cost.triggers += triggers.reduce((calls, trigger) => calls + trigger.Calls, 0)
    cost.walRecords += plan['WAL Records']
    cost.walBytes += plan['WAL Bytes']
    cost.wholePages += plan['WAL FPI']
    mostPages.set(text, Math.max(looked, mostPages.get(text) ?? 0))
  }
  await explainEverything(url)
  const database = new URL(url).pathname.slice(1)
  const { connect, query } = pg.Client.prototype
  pg.Client.prototype.connect = function (this: pg.Client, ...args: []) {
    this.on('notice', note)
    if (this.database === database)
      this.on('drain', () => {
        cost.roundTrips += 1
      })
    return Reflect.apply(connect, this, args)
  } as typeof connect
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    if (this.database === database) {
      const name = nameOf(args[0])
      cost.statements += 1
      sent.set(name, (sent.get(name) ?? 0) + 1)
    }
    return Reflect.apply(query, this, args)
  } as typeof query
  t.teardown(() => {
    Object.assign(pg.Client.prototype, { connect, query })
  })
  return {
    get texts() {
      return [...mostPages.keys()]
    },
    get pages() {
      return cost.pages
    },
    get cost() {
      return cost
    },
    sent,
    seen: (text) => [...mostPages.keys()].some((each) => text.test(each)),
    above: (limit) => [...mostPages].filter(([, most]) => most > limit).map(([text, most]) => `${most} pages: ${text}`),
    forget() {
      cost = nothing()
      mostPages.clear()
      sent.clear()
    },
  }
}

function nameOf(statement: unknown): string {
  if (typeof statement !== 'object' || statement === null) return String(statement)
  const { name, text } = statement as { name?: string; text?: string }
  return name ?? text ?? ''
}

function nothing(): Cost {
  return { statements: 0, roundTrips: 0, pages: 0, triggers: 0, walRecords: 0, walBytes: 0, wholePages: 0 }
}

/** For all connections made from now on. */
async function explainEverything(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const settings = {
    session_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': '0',
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_buffers': 'on',
    'auto_explain.log_wal': 'on',
    'auto_explain.log_triggers': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_format': 'json',
    'auto_explain.log_level': 'notice',
  }
  await client.query(`load 'auto_explain'`)
  for (const [name, value] of Object.entries(settings))
    await client.query(`alter database ${new URL(url).pathname.slice(1)} set ${name} = '${value}'`)
  await client.end()
}

import pg from 'pg'
import type { Test } from 'tap'

type Plan = { 'Shared Hit Blocks': number; 'Shared Read Blocks': number }

export type Statements = {
  /** Every statement observed so far. */
  texts: string[]
  /** Pages looked at since `forget`. */
  pages: number
  seen(text: RegExp): boolean
  /** Statements that looked at more than so many pages at once, with the most that each looked at. */
  above(pages: number): string[]
  forget(): void
}

/**
 * Observes all statements that this process runs on a database from now on, those of graphile-worker too: auto_explain sends each plan to
 * its client as a notice (PostgreSQL manual, "auto_explain").
 */
export async function observeStatements(t: Test, url: string): Promise<Statements> {
  const mostPages = new Map<string, number>()
  let pages = 0
  const note = ({ message = '' }: { message?: string | undefined }) => {
    if (!message.includes('plan:\n')) return
    const { 'Query Text': text, Plan: plan }: { 'Query Text': string; Plan: Plan } = JSON.parse(
      message.slice(message.indexOf('{')),
    )
    // They only run DDL, which reads the catalog, and is observed nowhere else.
    if (/^select notify\.(attach|drop)_partition\(/.test(text)) return
    const looked = plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
    pages += looked
    mostPages.set(text, Math.max(looked, mostPages.get(text) ?? 0))
  }
  await explainEverything(url)
  const { connect } = pg.Client.prototype
  pg.Client.prototype.connect = function (this: pg.Client, ...args: []) {
    this.on('notice', note)
    return Reflect.apply(connect, this, args)
  } as typeof connect
  t.teardown(() => {
    pg.Client.prototype.connect = connect
  })
  return {
    get texts() {
      return [...mostPages.keys()]
    },
    get pages() {
      return pages
    },
    seen: (text) => [...mostPages.keys()].some((each) => text.test(each)),
    above: (limit) => [...mostPages].filter(([, most]) => most > limit).map(([text, most]) => `${most} pages: ${text}`),
    forget() {
      pages = 0
      mostPages.clear()
    },
  }
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
    'auto_explain.log_timing': 'off',
    'auto_explain.log_format': 'json',
    'auto_explain.log_level': 'notice',
  }
  await client.query(`load 'auto_explain'`)
  for (const [name, value] of Object.entries(settings))
    await client.query(`alter database ${new URL(url).pathname.slice(1)} set ${name} = '${value}'`)
  await client.end()
}

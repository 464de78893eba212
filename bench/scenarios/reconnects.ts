import pg from 'pg'
import { type Bench, inTurn, type Measured, maxOf, quickWorld, type Scenario, target } from '../harness/scenario.ts'
import { connectAll, type System, warmUp, withSystem } from '../harness/with-system.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Stack } from '../stacks/stack.ts'
import { usual } from '../stacks/usual.ts'

export const reconnects: Scenario = {
  id: 'P9',
  title: 'All clients reconnect at once after a node was killed',
  mostRuns: 3,
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost, usual], (stack) => measure(bench, stack))
    const of = (figure: string) => maxOf(rows, ravenpost.name, figure)
    const queries = of('statements per client')
    return {
      rows,
      targets: [
        target('all synced', of('not synced'), of('not synced') === 0, 'not synced'),
        target(
          'nothing missed or doubled',
          of('missed') + of('doubled'),
          of('missed') + of('doubled') === 0,
          'notifications',
        ),
        target('at most 5 statements per client', queries, queries <= 5, 'statements'),
      ],
      notes: [
        `${clientsOf(bench)} clients; the push process is killed (SIGKILL), every user gets one more notification while it is down, it is started again, and all connect with the state they had.`,
        'Statements as counted by pg_stat_statements from the start of the new process until all are synced.',
      ],
    }
  },
}

function clientsOf({ quick }: Bench): number {
  return quick ? quickWorld.recipients : 10_000
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const clients = clientsOf(bench)
  const world = bench.quick ? quickWorld : { recipients: clients, likers: 1000, posts: 2 * clients }
  return withSystem(bench, stack, world, ['worker', 'push'], async (given) => {
    const { system, load } = given
    const connectMs = await connectAll(given, world)
    await warmUp(given, clients)
    await system.parts.get('push')?.kill()
    await load.disconnect({ cut: true })
    await system.fill(clients + 1, 2 * clients)
    await stored(given, 2 * clients)
    await system.restart('push')
    await resetStatements(given)
    const { ms, closed } = await load.connect({ url: system.urlOf('push'), from: 1, to: clients })
    const { arrived, doubled } = await load.expect({ count: clients, withinMs: 60_000 })
    return {
      'ms until all synced': ms,
      'ms when first connected': connectMs,
      'not synced': closed,
      missed: clients - arrived,
      doubled,
      'statements per client': (await countStatements(given)) / clients,
    }
  })
}

async function stored({ system }: System, count: number): Promise<void> {
  const deadline = Date.now() + 180_000
  while ((await system.counts()).notifications < count) {
    if (Date.now() > deadline) throw new Error('the worker did not store every notification within three minutes')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function resetStatements({ system }: System): Promise<void> {
  await ask(system.databaseUrl, 'select pg_stat_statements_reset()')
}

async function countStatements({ system }: System): Promise<number> {
  const text = `select sum(calls)::int as calls from pg_stat_statements s join pg_database d on d.oid = s.dbid
    where d.datname = current_database()`
  return (await ask(system.databaseUrl, text))?.calls ?? 0
}

async function ask(url: string, text: string): Promise<{ calls: number } | undefined> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(text)
  await client.end()
  return rows[0]
}

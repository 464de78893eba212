import { type Bench, inTurn, type Measured, medianOf, quickWorld, type Scenario, target } from '../harness/scenario.ts'
import { connectAll, withSystem } from '../harness/with-system.ts'
import { readRow } from '../stacks/database.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import { drain } from './dispatch-throughput.ts'

export const disk: Scenario = {
  id: 'P13',
  title: 'Disk and WAL per stored notification',
  mostRuns: 1,
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost], () => measure(bench))
    const of = (figure: string) => medianOf(rows, ravenpost.name, figure)
    const [kept, wal] = [of('bytes after retention'), of('WAL bytes')]
    return {
      rows,
      targets: [
        target('≤ 700 bytes after retention', kept, kept <= 700, 'bytes'),
        target('≤ 1,300 bytes of WAL', wal, wal <= 1300, 'bytes'),
      ],
      notes: [
        'Growth of all tables of the schema notify with their indexes, per notification that was stored, pushed and acknowledged. After retention: without the partitions of the log and of the delivery log, which live for days while the notification lives for months.',
      ],
    }
  },
}

/** Bytes of the schema notify with indexes and large values. `lasting`: without the partitions that retention drops. */
type Sizes = { all: number; lasting: number }

function measure(bench: Bench): Promise<Measured> {
  const events = bench.quick ? 8000 : 200_000
  const world = bench.quick ? quickWorld : { recipients: 2000, likers: 1000, posts: events }
  return withSystem(bench, ravenpost, world, ['worker', 'push'], async (given) => {
    await connectAll(given, world)
    const before = await sizesOf(given.system.databaseUrl)
    const { lost = 0, doubled = 0, 'WAL bytes': wal = 0 } = await drain(given, 1, events)
    const after = await sizesOf(given.system.databaseUrl)
    return {
      'bytes on the first day': (after.all - before.all) / events,
      'bytes after retention': (after.lasting - before.lasting) / events,
      'WAL bytes': wal,
      lost,
      doubled,
    }
  })
}

async function sizesOf(url: string): Promise<Sizes> {
  const row = await readRow<Sizes>(
    url,
    `select sum(pg_total_relation_size(c.oid))::float8 as "all",
       (sum(pg_total_relation_size(c.oid)) filter (where not c.relispartition))::float8 as lasting
     from pg_class c where c.relnamespace = 'notify'::regnamespace and c.relkind in ('r', 'm')`,
  )
  return row ?? { all: 0, lasting: 0 }
}

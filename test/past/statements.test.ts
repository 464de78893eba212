import pg from 'pg'
import t, { type Test } from 'tap'
import { makePast } from '../../faults/past.ts'
import { createEngine } from '../../src/worker/context.ts'
import { tasks } from '../../workers/index.ts'
import { runStory } from '../security/story.ts'
import { cloneDatabase, eventually, startSystem } from '../setup.ts'
import { onlyInFullSize } from '../size.ts'
import { observeStatements } from './observe-statements.ts'

/** Keeps the partition of the past in use, as far as its age decides. */
const env = { OUTBOX_RETENTION_DAYS: '60' }
const PAST = { events: 300_000, notifications: 300_000 }

/** Maximum pages that a statement may read. Most read some tens; the first call of a function reads hundreds of the catalogue. */
const PAGES = 1_000
/** Pages that one run of a recurring task may look at. */
const PAGES_OF_A_TASK = 20_000
/** Pages that ops.check may look at: it recounts what 200 events concern; 4,000 are the catalogue at the first call. */
const PAGES_OF_CHECK = 10_000

t.setTimeout(300_000)

t.test('operations cost the same in a new database and in one with many old rows', onlyInFullSize, async (t) => {
  const url = await cloneDatabase(t, { windowSeconds: 0 })
  const old = await openTransaction(t, url)
  await makePast(url, PAST)
  const statements = await observeStatements(t, url)

  await t.test('no statement of a running system scans old rows', async (t) => {
    const system = await startSystem(t, url, { env, worker: true, push: true })
    await runStory(t, system)
    await eventually(() => statements.seen(/from ops\.lag/) && statements.seen(/notify\.workers/))
    // Ending a partition draws its remaining ids: each looks at the page of the sequence, none at the past.
    const drawing = /count\(nextval\('notify\.outbox_id_seq'\)\)/
    t.same(
      statements.above(PAGES).filter((text) => !drawing.test(text)),
      [],
    )
    t.ok(statements.texts.length > 150, `${statements.texts.length} statements were observed`)
  })

  await t.test('ops.check scans no old rows', async (t) => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    t.teardown(() => client.end())
    for (const patience of ['1 minute', '0 seconds']) {
      statements.forget()
      await client.query('select * from ops.check($1)', [patience])
      t.ok(statements.pages > 0 && statements.pages <= PAGES_OF_CHECK, `it looks at ${statements.pages} pages`)
    }
  })

  await t.test('no recurring task scans old rows', async (t) => {
    const system = await startSystem(t, url, { env })
    const engine = createEngine(system.app)
    t.teardown(() => engine.pool.end())
    for (const [name, run] of Object.entries(tasks.taskList(engine))) {
      if (name === 'dispatch_outbox') continue
      statements.forget()
      await run?.({}, {} as never)
      t.ok(statements.pages <= PAGES_OF_A_TASK, `${name} looks at ${statements.pages} pages`)
      t.same(statements.above(PAGES), [], name)
    }
  })
  await old.end()
})

/** Holds a snapshot and a transaction id open, as a forgotten session does: nothing that was updated since can be pruned. */
async function openTransaction(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end().catch(() => {}))
  await client.query('begin isolation level repeatable read; select pg_current_xact_id()')
  return client
}

import pg from 'pg'
import t, { type Test } from 'tap'
import { eventually, setup, type TestSystem } from '../setup.ts'
import { sized } from '../size.ts'
import { endsWell, type Load, startLoad } from './load.ts'

/** Kinds of connections, by application_name and last statement. */
const kinds: Record<string, string> = {
  'of requests and pushing': `application_name = 'ravenpost app'`,
  'of dispatching': `application_name = 'ravenpost worker'`,
  'in the middle of a batch': `application_name = 'ravenpost worker' and xact_start is not null`,
  'of graphile-worker': `application_name = 'ravenpost jobs' and query not like 'LISTEN%'`,
  'on which graphile-worker listens': `application_name = 'ravenpost jobs' and query like 'LISTEN%'`,
  'on which the push node listens': `application_name = 'ravenpost listen'`,
  'of all kinds': `application_name like 'ravenpost %'`,
}

t.test(
  'when connections are killed under load, no notification is lost or shown twice, and work continues',
  async (t) => {
    const system = await setup(t, { worker: true, push: true, windowSeconds: 1 })
    const admin = new pg.Client({ connectionString: system.databaseUrl })
    await admin.connect()
    t.teardown(() => admin.end())
    const load = await startLoad(t, system)
    await load.goesOn(20, 20)
    for (const [kind, condition] of Object.entries(kinds)) await kill(t, system, admin, load, kind, condition)
    await endsWell(t, system, load)
  },
)

/** Several times, so that it also meets what has just recovered. */
async function kill(t: Test, system: TestSystem, admin: pg.Client, load: Load, kind: string, condition: string) {
  for (let times = 0; times < sized(3, 2); times += 1) {
    await eventually(async () => {
      const { rowCount } = await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and ${condition}`,
      )
      return rowCount
    })
    await load.goesOn(8, 20)
  }
  await eventually(() => system.push?.listenAlive())
  t.pass(`connections ${kind}`)
}

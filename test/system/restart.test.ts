import t from 'tap'
import { eventually, startSystem } from '../setup.ts'
import { endsWell, startLoad } from './load.ts'
import { ownPostgres } from './postgres.ts'

/** From PostgreSQL's first answer until people are served again, on a busy machine too. */
const RECOVERS_IN = 20

for (const mode of ['fast', 'immediate'] as const)
  t.test(
    `when PostgreSQL is stopped (${mode}) and restarted under load, no notification is lost or shown twice`,
    async (t) => {
      const postgres = await ownPostgres(t)
      const system = await startSystem(t, postgres.url, { worker: true, push: true })
      const load = await startLoad(t, system)
      await load.goesOn(15, 20)
      await postgres.stop(mode)
      t.match(await load.users[0]?.request('GET', '/notifications'), { status: 503 }, 'the answer asks to retry')
      t.equal(load.devices.filter((device) => device.connected).length, load.devices.length, 'the sockets stay')
      await postgres.start()
      await load.goesOn(15, RECOVERS_IN)
      await eventually(() => system.push?.listenAlive(), RECOVERS_IN)
      await endsWell(t, system, load)
    },
  )

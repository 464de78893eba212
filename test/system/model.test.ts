import assert from 'node:assert/strict'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { flushed, inOrderOfTime, noDrift } from '../settled.ts'
import { setup, type TestSystem } from '../setup.ts'
import { sized } from '../size.ts'
import { type Command, command, run, type World } from './commands.ts'
import { Device } from './device.ts'
import { equalsTheFacts, isAboutUser, isToldOnce } from './facts.ts'

/** A failure prints its seed; `MODEL_SEED=… MODEL_SECONDS=…` draws the same commands again, or more of them. */
const SEED = Number(process.env.MODEL_SEED ?? Date.now() % 2 ** 31)
const SECONDS = Number(process.env.MODEL_SECONDS ?? sized(25, 3))

/** Actions of one list run in parallel. The lists follow each other without waiting for the dispatcher. */
const plan = fc.array(fc.array(command, { minLength: 1, maxLength: 8 }), { minLength: 5, maxLength: 25, size: 'max' })

t.test('for any actions and disconnects, every device equals the list, and the list equals the facts', async (t) => {
  const system = await setup(t, { worker: true, push: true, windowSeconds: 1 })
  const deadline = Date.now() + SECONDS * 1000
  let runs = 0
  for (const steps of fc.sample(plan, { seed: SEED, numRuns: 10 * SECONDS })) {
    if (runs > 1 && Date.now() > deadline) break
    runs += 1
    await holds(t, system, `run${runs}`, steps).catch((error) => {
      t.comment(`MODEL_SEED=${SEED}, run ${runs}: ${JSON.stringify(steps)}`)
      throw error
    })
  }
  t.ok(runs > 1, `${runs} runs`)
  await noDrift(t, system)
  await inOrderOfTime(t, system)
})

async function holds(t: Test, system: TestSystem, name: string, steps: Command[][]): Promise<void> {
  const world = await makeWorld(t, system, name)
  const observer = observe(system)
  try {
    for (const commands of steps) await all(commands.map((command) => run(world, command)))
  } finally {
    await observer.end()
  }
  await flushed(system)
  for (const device of [...world.devices, ...world.pollers]) {
    if (world.pollers.includes(device)) await device.poll(100)
    else if (!device.connected) await device.connect()
    await device.agreesWithList()
    assert.deepEqual(device.faults, [])
  }
  for (const user of world.users) {
    const received = world.devices.filter((device) => device.user === user).flatMap((device) => device.received)
    await isAboutUser(system.pool, user, received)
    isToldOnce(user, received)
    await equalsTheFacts(system.pool, user)
  }
  const { rows } = await system.pool.query('select * from ops.count_drift')
  assert.deepEqual(rows, [], 'every count equals its recount')
  for (const device of world.devices) device.disconnect()
}

/** Waits for all of them, also when one has failed. */
async function all(running: Promise<void>[]): Promise<void> {
  for (const end of await Promise.allSettled(running)) if (end.status === 'rejected') throw end.reason
}

/** Four users, so that each notification shows all its actors. Each has two sockets and a poller. */
async function makeWorld(t: Test, system: TestSystem, name: string): Promise<World> {
  const users = await Promise.all(['a', 'b', 'c', 'd'].map((letter) => system.as(`${name}_${letter}`)))
  const device = (index: number) => users.slice(0, index).map((user) => new Device(t, system.url, user))
  const world: World = { users, devices: [...device(4), ...device(4)], pollers: device(4), posts: [], comments: [] }
  for (const author of users) world.posts.push({ id: (await author.post('first')).id, author })
  await Promise.all([...world.devices.slice(0, 6)].map((device) => device.connect()))
  return world
}

/** Looks again and again, while people act, whether the counts of all inboxes are right in that snapshot. */
function observe({ pool }: TestSystem): { end(): Promise<void> } {
  let running = true
  const looking = (async () => {
    while (running) {
      const { rows } = await pool.query(
        `select * from ops.count_drift where counter like 'inbox.%' or counter like 'notifications.%'`,
      )
      assert.deepEqual(rows, [], 'the counts of inboxes are right in every snapshot')
    }
  })()
  looking.catch(() => {})
  return {
    async end() {
      running = false
      await looking
    },
  }
}

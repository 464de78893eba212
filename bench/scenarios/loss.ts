import { setTimeout as sleep } from 'node:timers/promises'
import { type Bench, inTurn, type Measured, maxOf, quickWorld, type Scenario, target } from '../harness/scenario.ts'
import { connectAll, type System, withSystem } from '../harness/with-system.ts'
import type { Machine } from '../machine/machine.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Part, Running, Stack } from '../stacks/stack.ts'
import { usual, usualWithOutbox } from '../stacks/usual.ts'

const SECOND = 1000

type Fault = {
  name: string
  strike(system: Running, machine: Machine): Promise<void>
  /** Time without another notification after which the missing ones count as lost. */
  lateMs: number
  /** Does not run in quick runs. */
  slow?: boolean
  /** The stack in which it cannot happen. */
  not?: Stack
}

const faults: Fault[] = [
  { name: 'api killed', strike: (system) => killed(system, 'api'), lateMs: 5 * SECOND },
  { name: 'Redis killed', strike: (_, machine) => machine.redis.crash(), lateMs: 10 * SECOND, not: ravenpost },
  { name: 'database connections ended', strike: connectionsEnded, lateMs: 10 * SECOND },
  // BullMQ checks every 30 s for jobs whose lock of 30 s has expired, and gives them to another worker.
  { name: 'worker killed', strike: (system) => killed(system, 'worker'), lateMs: 75 * SECOND, slow: true },
]
/** Losses of Ravenpost fail the run, even on a very slow machine. */
const OWN_LATE_MS = 75 * SECOND
const MORE_ROUNDS = 5

export const loss: Scenario = {
  id: 'LOSS',
  title: 'What is lost when a part is killed under load',
  mostRuns: 1,
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost, usual, usualWithOutbox], (stack) => measure(bench, stack))
    const figures = rows.find(({ stack }) => stack === ravenpost.name)?.figures ?? {}
    const lost = Object.keys(figures)
      .filter((name) => /^(lost|not pushed|pushed twice)/.test(name))
      .reduce((sum, name) => sum + maxOf(rows, ravenpost.name, name), 0)
    return {
      rows,
      targets: [target('nothing is lost, nothing doubled', lost, lost === 0, 'notifications')],
      notes: [
        'Likes on 64 connections; in the middle of them the part is killed (SIGKILL) and started again at once, or every connection to the database is ended.',
        'Lost: likes in the database whose notification is never stored. Not pushed: stored, and never sent to a client that was connected all the time. A killed push process is P9.',
        'The usual stack tries a job five times, backing off; its worker, relay and pools survive a lost connection.',
      ],
    }
  },
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const chosen = faults.filter(({ slow, not }) => not !== stack && !(slow && bench.quick))
  const rounds = bench.quick ? 1 : 2
  const world = bench.quick ? quickWorld : { recipients: 1000, likers: 1000, posts: chosen.length * rounds * 20_000 }
  return withSystem(bench, stack, world, ['api', 'worker', 'push'], async (given) => {
    await connectAll(given, world)
    const figures: Measured = { likes: 0 }
    let post = 1
    for (const fault of chosen) {
      const before = await given.system.counts()
      for (let round = 0; round < rounds; round++) post = await strikeAmongLikes(given, bench, fault, post)
      // On a slow machine, the part may have been killed before it accepted any like.
      for (let more = 0; more < MORE_ROUNDS && (await given.system.counts()).likes === before.likes; more++)
        post = await strikeAmongLikes(given, bench, fault, post)
      const lateMs = stack === ravenpost ? OWN_LATE_MS : fault.lateMs
      const after = await settle(given, lateMs)
      if (after.likes === before.likes) throw new Error(`${stack.name} took no like: nothing could be lost`)
      const stored = after.notifications - before.notifications
      const { arrived, doubled } = await given.load.expect({ count: stored, withinMs: lateMs })
      await given.load.reset()
      figures.likes = after.likes
      figures[`lost, ${fault.name}`] = after.likes - before.likes - stored
      figures[`not pushed, ${fault.name}`] = stored - arrived
      figures[`pushed twice, ${fault.name}`] = doubled
    }
    return figures
  })
}

/** Returns the next unused post. */
async function strikeAmongLikes({ system, load }: System, { machine, quick }: Bench, fault: Fault, firstPost: number) {
  const seconds = quick ? 1 : 2
  const liking = load.like({ url: system.urlOf('api'), firstPost, seconds, connections: 64 })
  await sleep(0.6 * seconds * SECOND)
  await fault.strike(system, machine)
  return (await liking).nextPost
}

async function killed(system: Running, part: Part): Promise<void> {
  await system.parts.get(part)?.kill()
  await system.restart(part)
}

async function connectionsEnded({ databaseUrl }: Running, { postgres }: Machine): Promise<void> {
  const database = new URL(databaseUrl).pathname.slice(1)
  await postgres.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [database])
}

/** Waits until every like has its notification, or until none was added for this time. */
async function settle({ system }: System, lateMs: number): Promise<{ likes: number; notifications: number }> {
  for (let [last, since] = [-1, Date.now()]; ; ) {
    const now = await system.counts()
    if (now.notifications !== last) [last, since] = [now.notifications, Date.now()]
    if (now.notifications === now.likes || Date.now() - since > lateMs) return now
    await sleep(100)
  }
}

import { check, type Findings } from './load/check.ts'
import { FoldingClient } from './load/folding-client.ts'
import { Load } from './load/load.ts'
import { Random } from './load/random.ts'
import { makeWorld } from './load/world.ts'
import type { Scenario, Stage } from './scenario.ts'
import type { System } from './system/system.ts'
import { SECOND, sleep, within } from './wait.ts'

export type Result = Findings & {
  name: string
  what: string
  offered: number
  completed: number
  /** Milliseconds from the end of the disturbance until every process is ready, every client is live and no event is older than a second. Null: not while the load lasted. */
  recoveryMs: number | null
  notes: string[]
  seconds: number
}

export type RunOptions = { seed: number; rate: number; quick: boolean }

const USERS = 80
const POSTS = 160
const QUICK_CLIENTS = 300
const BEFORE_MS = { quick: SECOND, full: 2 * SECOND }
const AFTER_MS = { quick: SECOND, full: 5 * SECOND }
/** Time to recover under load. A machine too slow for the load gets the same time again without it, and fails only after that. */
const RECOVER_WITHIN_MS = 60 * SECOND
const SETTLE_WITHIN_SECONDS = 180

/** Runs one scenario with its own users: load, disturbance, recovery, a quiet end, and the full check. */
export async function runScenario(system: System, scenario: Scenario, options: RunOptions): Promise<Result> {
  const startedAt = performance.now()
  const random = new Random(options.seed)
  const count = options.quick ? Math.min(scenario.clients ?? USERS, QUICK_CLIENTS) : (scenario.clients ?? USERS)
  const world = await makeWorld(system, Math.max(USERS, count), Math.max(POSTS, count))
  const apiPorts = portsOf(system, 'api')
  const clients = world.members.slice(0, count).map((member) => {
    const pushPorts = portsOf(system, 'push')
    return new FoldingClient({ member, apiPorts, pushPorts, random, emptyState: world.emptyState })
  })
  const allLive = () => clients.every((client) => client.live)
  const notes: string[] = []
  const broken: string[] = []
  for (const one of system.processes) one.crashes = []
  if (!(await within(2 * RECOVER_WITHIN_MS, allLive)))
    broken.push('not every client became live before the disturbance')

  const load = new Load({ world, ports: apiPorts, random: new Random(options.seed + 1), rate: options.rate })
  const stage: Stage = {
    ...{ system, world, load, clients, random, quick: options.quick },
    expect: (holds, what) => void (holds || broken.push(what)),
    note: (text) => void notes.push(text),
  }
  const pace = options.quick ? 'quick' : 'full'
  await sleep(BEFORE_MS[pace])
  await scenario.disturb(stage).catch((error) => broken.push(`the scenario itself failed: ${error}`))
  const recoveryMs = await recovered(system, clients, notes)
  await sleep(AFTER_MS[pace])
  await load.stop()
  if (recoveryMs === null && (await recovered(system, clients, notes)) === null) broken.push('not recovered')

  const findings = await check(system.pool, world, load, clients, SETTLE_WITHIN_SECONDS)
  for (const client of clients) client.stop()
  broken.push(...findings.broken, ...load.wrong, ...system.processes.flatMap((one) => one.crashes))
  const { offered, completed } = load
  const seconds = Math.round((performance.now() - startedAt) / SECOND)
  const { name, what } = scenario
  return { name, what, ...findings, broken, offered, completed, recoveryMs, notes, seconds }
}

function portsOf(system: System, role: 'api' | 'push'): number[] {
  return system.of(role).map((one) => system.front.get(one)?.port ?? one.port)
}

/** Milliseconds until the system has recovered. Null when that takes too long; then a note says what is missing. */
async function recovered(system: System, clients: FoldingClient[], notes: string[]): Promise<number | null> {
  const startedAt = performance.now()
  let missing = ''
  const isWell = async () => {
    const away = clients.filter((client) => !client.live).length
    const ready = await Promise.all(system.processes.map((one) => one.ready().catch(() => false)))
    const ms = await oldestEventMs(system)
    const down = system.processes.filter((_, index) => !ready[index]).map((one) => one.name)
    missing = `${away} clients away, not ready: ${down.join(', ') || 'none'}, the oldest event waits for ${ms} ms`
    return away === 0 && down.length === 0 && ms < SECOND
  }
  if (await within(RECOVER_WITHIN_MS, isWell)) return Math.round(performance.now() - startedAt)
  notes.push(`not recovered within ${RECOVER_WITHIN_MS / SECOND} s: ${missing}`)
  return null
}

async function oldestEventMs({ pool }: System): Promise<number> {
  const { rows } = await pool.query<{ ms: number }>(
    `select coalesce(max(extract(epoch from age)) * 1000, 0)::float8 as ms from ops.lag`,
  )
  return rows[0]?.ms ?? 0
}

import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { App } from '../app.ts'
import { acknowledged, dispatchBatchSize, framesSent, sockets } from '../base/metrics.ts'
import type { Role } from '../base/process/role.ts'
import { repeat } from '../base/pulse.ts'
import { build, run } from '../db/kysely.ts'
import { guards } from '../notify/channels/guard.ts'

/** Totals since the start of the process. */
type Totals = { at: number; cpuMs: number; events: number; frames: number; acknowledged: number }

/** Writes the heartbeat of this process to notify.processes, for the console, until it is closed. */
export function startProcessHeartbeat({ pool, log, config }: App, role: Role): { close(): Promise<void> } {
  const id = randomUUID()
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  let before: Totals | undefined
  const beats = repeat(config.sweepIntervalMs, log, 'the heartbeat of the process', async () => {
    const totals = await readTotals()
    const figures = {
      ...ratesOf(totals, before),
      loopDelayMs: round(delay.percentile(99) / 1e6),
      sockets: await sum(sockets),
    }
    before = totals
    delay.reset()
    const breakers = [...guards].map(([name, guard]) => ({ name, closed: round(guard.closedSeconds()) }))
    await pool.query({
      name: 'process_heartbeat',
      text: `with gone as (delete from notify.processes where beat_at < now() - interval '10 minutes')
        insert into notify.processes (id, role, host, pid, memory_bytes, figures, breakers)
        values ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb)
        on conflict (id) do update
        set beat_at = now(), memory_bytes = excluded.memory_bytes, figures = excluded.figures, breakers = excluded.breakers`,
      values: [
        id,
        role,
        hostname(),
        process.pid,
        process.memoryUsage.rss(),
        JSON.stringify(figures),
        JSON.stringify(breakers),
      ],
    })
  })
  return {
    async close() {
      await beats.close()
      delay.disable()
      await run(pool, build.deleteFrom('notify.processes').where('id', '=', id))
    },
  }
}

async function readTotals(): Promise<Totals> {
  const { user, system } = process.cpuUsage()
  return {
    at: performance.now(),
    cpuMs: (user + system) / 1000,
    events: await sum(
      dispatchBatchSize,
      ({ metricName, labels }) =>
        metricName === 'ravenpost_dispatch_batch_size_sum' && labels.consumer === 'notifications',
    ),
    frames: await sum(framesSent),
    acknowledged: await sum(acknowledged),
  }
}

function ratesOf(now: Totals, before: Totals | undefined) {
  if (!before) return {}
  const seconds = (now.at - before.at) / 1000
  return {
    cpu: round((now.cpuMs - before.cpuMs) / 1000 / seconds),
    eventsPerSecond: round((now.events - before.events) / seconds),
    framesPerSecond: round((now.frames - before.frames) / seconds),
    acknowledgedPerSecond: round((now.acknowledged - before.acknowledged) / seconds),
  }
}

type Value = { metricName?: string; labels: Record<string, unknown>; value: number }

async function sum(
  metric: { get(): Promise<{ values: object[] }> },
  only: (value: Value) => boolean = () => true,
): Promise<number> {
  const { values } = await metric.get()
  return (values as Value[]).filter(only).reduce((total, { value }) => total + value, 0)
}

const round = (value: number) => Math.round(value * 100) / 100

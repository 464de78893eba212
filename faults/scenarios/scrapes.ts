import { call } from '../load/http.ts'
import type { Scenario, Stage } from '../scenario.ts'
import { SECOND, sleep } from '../wait.ts'

const SCRAPERS = 40
const BACKLOG = 300_000

/** Anyone who can reach a process can scrape and probe it, also while it is busy. */
export const scrapes: Scenario[] = [
  {
    name: 'scrape-storm',
    what: '40 clients ask each api for /metrics and /readyz without a pause, over 300,000 unread events',
    async disturb(stage) {
      const { system, quick, expect, note } = stage
      const before = await latencies(stage, 2 * SECOND)
      await system.pool.query(appendBacklog, [quick ? BACKLOG / 10 : BACKLOG])
      let on = true
      const outcomes = new Map<string, number>()
      const ask = async (port: number, path: string) => {
        while (on) {
          const { outcome } = await call(port, 'GET', path, '')
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        }
      }
      const storm = system
        .of('api')
        .flatMap(({ port }) => Array.from({ length: SCRAPERS }, (_, n) => ask(port, n % 2 ? '/metrics' : '/readyz')))
      const during = await latencies(stage, (quick ? 5 : 30) * SECOND)
      on = false
      await Promise.all(storm)
      note(`/auth/me, median and 99 of 100: ${before.join(' and ')} ms before, ${during.join(' and ')} ms in the storm`)
      note(`answers to the storm: ${[...outcomes].map(([outcome, n]) => `${n} ${outcome}`).join(', ')}`)
      expect((during[1] ?? 0) < 5 * SECOND, `requests waited for the scrapes: ${during.join(' and ')} ms`)
    },
  },
]

/** Events for recipients without an inbox. Scrapes count them until they are read; they have no effect. */
const appendBacklog = `
  insert into notify.outbox (counted, action, source_id, type, recipient_id, actor_id, object_type, object_id, group_key)
  select false, 'send', 'storm:' || n, 'user.followed', 1000000000 + n, 1, 'user', '1', 'storm' from generate_series(1, $1::int) n`

/** Median and 99th percentile of `GET /auth/me` of a random api, in milliseconds. */
async function latencies({ system, world, random }: Stage, ms: number): Promise<number[]> {
  const found: number[] = []
  const until = performance.now() + ms
  while (performance.now() < until) {
    const from = performance.now()
    await call(random.pick(system.of('api')).port, 'GET', '/auth/me', random.pick(world.members).token)
    found.push(Math.round(performance.now() - from))
    await sleep(20)
  }
  found.sort((a, b) => a - b)
  return [0.5, 0.99].map((share) => found[Math.floor(share * found.length)] ?? 0)
}

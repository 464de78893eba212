import type { FoldingClient } from '../folding-client.ts'
import type { Scenario, Stage } from '../scenario.ts'
import { SECOND, sleep, within } from '../wait.ts'

/** Push nodes that die, and clients that all come at once. */
export const push: Scenario[] = [
  {
    name: 'push-kill',
    what: 'kill -9 of a push node; 1,000 clients in all, those it had are back within 5 s',
    quick: true,
    clients: 1000,
    async disturb(stage) {
      await stage.system.of('push')[0]?.kill()
      await backWithin(stage, 5 * SECOND)
    },
  },
  {
    name: 'push-kill-repeatedly',
    what: 'kill -9 of a push node drawn at random, again and again',
    async disturb({ system, random, quick }) {
      for (let kills = 0; kills < (quick ? 3 : 10); kills += 1) {
        await random.pick(system.of('push')).kill()
        await sleep((1 + random.next()) * SECOND)
      }
    },
  },
  {
    name: 'push-pause',
    what: 'SIGSTOP of a push node for 20 seconds, sockets left open',
    async disturb({ system, random, quick }) {
      const node = random.pick(system.of('push'))
      node.pause()
      await sleep((quick ? 5 : 20) * SECOND)
      node.resume()
    },
  },
  {
    name: 'push-reconnect-storm',
    what: '5,000 clients are cut off at once and come back',
    clients: 5000,
    async disturb(stage) {
      for (const client of stage.clients) client.cut()
      await backWithin(stage, 60 * SECOND)
    },
  },
]

/** Notes when the last client was live again; that it takes longer than wished is no failure on a busy machine, never is. */
async function backWithin({ clients, note }: Stage, wishedMs: number): Promise<void> {
  const cutAt = performance.now()
  const isBack = (client: FoldingClient) => client.live
  await within(SECOND, () => !clients.every(isBack), 1)
  await within(60 * SECOND, () => clients.every(isBack))
  const last = Math.max(...clients.map((client) => client.liveSince)) - cutAt
  const cut = clients.filter((client) => client.losses > 0).length
  const inTime = clients.filter((client) => client.live && client.liveSince - cutAt <= wishedMs).length
  note(
    `${cut} clients cut off, the last was back after ${(last / SECOND).toFixed(1)} s (wished: ${wishedMs / SECOND} s, ${inTime} of ${clients.length} were)`,
  )
}

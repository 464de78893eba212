import { setTimeout as sleep } from 'node:timers/promises'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Stack } from '../stacks/stack.ts'
import { usual, usualWithOutbox } from '../stacks/usual.ts'
import { type Bench, inTurn, type Measured, maxOf, type Scenario, target } from './scenario.ts'
import { withSystem } from './with-system.ts'

export const loss: Scenario = {
  id: 'LOSS',
  title: 'What is lost when the api is killed between commit and enqueue',
  mostRuns: 3,
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost, usual, usualWithOutbox], (stack) => measure(bench, stack))
    const lost = maxOf(rows, ravenpost.name, 'notifications lost')
    return {
      rows,
      targets: [target('nothing is lost', lost, lost === 0, 'notifications')],
      notes: [
        'Likes on 64 connections; the api is killed (SIGKILL) in the middle and started again, time after time. Lost: likes in the database whose notification never comes.',
      ],
    }
  },
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const kills = bench.quick ? 2 : 6
  const world = { recipients: 1000, likers: 1000, posts: kills * 20_000 }
  return withSystem(bench, stack, world, ['api', 'worker'], async ({ system, load }) => {
    let post = 1
    for (let kill = 0; kill < kills; kill++) {
      const liking = load.like({ url: system.urlOf('api'), firstPost: post, seconds: 2, connections: 64 })
      await sleep(1200)
      await system.parts.get('api')?.kill()
      post = (await liking).nextPost
      await system.restart('api')
    }
    const { likes, notifications } = await settle(system.counts)
    if (likes === 0) throw new Error(`${stack.name} took no like: nothing could be lost`)
    return { kills, likes, 'notifications lost': likes - notifications }
  })
}

/** Until nothing was added for three seconds: longer than any retry of what is merely late. */
async function settle(counts: () => Promise<{ likes: number; notifications: number }>) {
  for (let [last, since] = [-1, Date.now()]; ; ) {
    const now = await counts()
    if (now.notifications !== last) [last, since] = [now.notifications, Date.now()]
    if (now.notifications === now.likes || Date.now() - since > 3000) return now
    await sleep(100)
  }
}

import {
  type Bench,
  inTurn,
  type Measured,
  maxOf,
  medianOf,
  quickWorld,
  type Scenario,
  target,
} from '../harness/scenario.ts'
import { withSystem } from '../harness/with-system.ts'
import { startLoad } from '../load/load.ts'
import { runOn } from '../stacks/database.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Stack } from '../stacks/stack.ts'
import { usual } from '../stacks/usual.ts'

export const likeStorm: Scenario = {
  id: 'P7',
  title: '10,000 likes of one post within a second',
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost, usual], (stack) => measure(bench, stack))
    const of = (figure: string) => maxOf(rows, ravenpost.name, figure)
    const slower =
      medianOf(rows, ravenpost.name, 'others: p99 ms in the storm') /
      medianOf(rows, ravenpost.name, 'others: p99 ms idle')
    return {
      rows,
      targets: [
        target('every like answered is durable', of('lost'), of('lost') === 0, 'lost'),
        target('one notification row', of('notification rows'), of('notification rows') === 1, 'rows'),
        target('p99 of other users’ requests ≤ 5 × idle on two saturated cores', slower, slower <= 5),
        target('one push for all who waited', of('frames of the window'), of('frames of the window') === 1, 'frames'),
      ],
      notes: [
        `${likesOf(bench)} likes, all due within one second, by as many users; meanwhile other users ask for their unread count, 100 a second.`,
        'Ravenpost shows three likes at once and gathers the others, as it does by default; the window is ended by hand when the storm is over, instead of waiting two minutes. The usual stack gathers nothing.',
      ],
    }
  },
}

function likesOf({ quick }: Bench): number {
  return quick ? quickWorld.likers : 10_000
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const likes = likesOf(bench)
  const world = bench.quick ? quickWorld : { recipients: 500, likers: likes, posts: 500 }
  return withSystem(bench, stack, world, ['api', 'worker', 'push'], async ({ system, load }) => {
    const url = system.urlOf('api')
    if (stack === ravenpost) await runOn(system.databaseUrl, gatherLikes)
    await load.connect({ url: system.urlOf('push'), from: 1, to: 1 })
    const others = await startLoad(world, stack.protocol)
    const ask = { url, path: '/notifications/unread-count', users: [2, 500] as [number, number], rate: 100 }
    await others.get({ ...ask, seconds: 1 })
    const idle = await others.get({ ...ask, seconds: bench.quick ? 1 : 5 })
    const [storm, busy] = await Promise.all([
      load.storm({ url, post: 1, rate: likes, seconds: 1 }),
      others.get({ ...ask, seconds: 2 }),
    ])
    await others.stop()
    const { frames } = await settle(system.counts, load.expect)
    await load.reset()
    if (stack === ravenpost) await runOn(system.databaseUrl, 'update notify.windows set due_at = now()')
    const settled = await settle(system.counts, load.expect)
    return {
      'likes/s': storm.perSecond,
      'likes: p99 ms': storm.latency.p99,
      failed: storm.failed,
      lost: Math.max(0, storm.answered - settled.likes),
      'notification rows': settled.notifications,
      frames: frames + settled.frames,
      'frames of the window': settled.frames,
      'others: p99 ms idle': idle.latency.p99,
      'others: p99 ms in the storm': busy.latency.p99,
      'others: failed': busy.failed,
    }
  })
}

/** Turns grouping on again, which the stacks switch off so that runs are comparable. No process has read the setting yet. */
const gatherLikes = `update notify.types set instant_threshold = 3, window_seconds = 120 where type = 'post.liked'`

type Counts = { likes: number; notifications: number }
type Expect = (wanted: { count: number; withinMs: number }) => Promise<{ arrived: number; doubled: number }>

/** Waits until no frame has arrived and no row was added for a second. */
async function settle(counts: () => Promise<Counts>, expect: Expect): Promise<Counts & { frames: number }> {
  for (let last = -1; ; ) {
    const { arrived, doubled } = await expect({ count: Number.MAX_SAFE_INTEGER, withinMs: 1000 })
    const now = await counts()
    if (now.notifications + arrived + doubled === last) return { ...now, frames: arrived + doubled }
    last = now.notifications + arrived + doubled
  }
}

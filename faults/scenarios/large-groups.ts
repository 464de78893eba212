import type pg from 'pg'
import { call } from '../load/http.ts'
import { type Member, makeWorld } from '../load/world.ts'
import type { Scenario, Stage } from '../scenario.ts'
import { SECOND, sleep, within } from '../wait.ts'

/** One request causes work that grows with past activity. */
export const largeGroups: Scenario[] = [
  {
    name: 'large-groups',
    what: 'connected members delete a post with 100,000 likes and block a user with 100,000 actions',
    quick: true,
    async disturb(stage) {
      const { system, world, quick } = stage
      const size = quick ? 20_000 : 100_000
      const [author, victim] = world.members
      const [spammer] = (await makeWorld(system, 1, 0)).members
      if (!author || !victim || !spammer) throw new Error('nobody is there')
      const port = system.front.get(system.of('api')[0] ?? system.processes[0] ?? never())?.port ?? never()
      const { body } = await call(port, 'POST', '/posts', author.token, { body: { body: 'Viral' }, key: 'viral' })
      const { id: post } = body as { id: string }
      await fill(system.pool, author, { size, groups: 1, post })
      await fill(system.pool, victim, { size: size / 2, groups: 1, actor: spammer })
      await fill(system.pool, victim, { size: size / 2, groups: 1000, actor: spammer })
      await Promise.all([
        timed(stage, port, 'DELETE', `/posts/${post}`, author),
        timed(stage, port, 'PUT', `/users/${spammer.id}/block`, victim),
      ])
      const startedAt = performance.now()
      const isGone = async () => {
        const { rowCount } = await system.pool.query(
          `select from notify.notifications where (user_id = $1 and thread_key = $2) or (user_id = $3 and $4 = any(actor_ids))`,
          [author.id, `post:${post}`, victim.id, spammer.id],
        )
        return rowCount === 0
      }
      stage.expect(await within(60 * SECOND, isGone), 'deleted or blocked content is still shown')
      stage.note(`none of it is shown after ${Math.round(performance.now() - startedAt)} ms`)
      await sleep((quick ? 1 : 5) * SECOND)
    },
  },
]

/** The answer comes within the call's timeout of five seconds, however large the work is. */
async function timed(stage: Stage, port: number, method: string, path: string, who: Member): Promise<void> {
  const startedAt = performance.now()
  const { outcome, status } = await call(port, method, path, who.token)
  const ms = Math.round(performance.now() - startedAt)
  stage.note(`${method} ${path} answered ${status} after ${ms} ms`)
  stage.expect(outcome === 'ok', `${method} ${path} answered ${status} after ${ms} ms`)
}

type Filling = { size: number; groups: number; actor?: Member; post?: string }

/** Notifications with `size` sources in total, as dispatch would have written them: by as many actors, or all by one. */
async function fill(pool: pg.Pool, { id }: Member, { size, groups, actor, post }: Filling): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const { rows } = await client.query<{ modseq: string }>(
      `update notify.inbox set modseq = modseq + $2::int, era = (modseq + $2::int) / 8, unread_count = unread_count + $2::int, unseen_count = unseen_count + $2::int
       where user_id = $1 returning modseq - $2::int as modseq`,
      [id, groups],
    )
    const before = rows[0]?.modseq
    await client.query(
      `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, expires_at, closed_at, actor_ids, actor_count, thread_key, object_type, object_id)
       select $1, $2 + n, $2 + n, $2 + n, 'post.liked', now() + interval '90 days', now(), $4, $5, $6, 'post', $7 from generate_series(1, $3::int) n`,
      [
        id,
        before,
        groups,
        actor ? [actor.id] : [],
        actor ? 1 : size / groups,
        post ? `post:${post}` : null,
        post ?? '1',
      ],
    )
    await client.query(
      `insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision)
       select $1, concat('large:', $2::bigint, ':', n), 0, $2::bigint + 1 + (n - 1) % $3::int, coalesce($5::bigint, 1000000000 + n), true, true, 'shown'
       from generate_series(1, $4::int) n`,
      [id, before, groups, size, actor?.id],
    )
    await client.query('commit')
  } finally {
    client.release()
  }
}

function never(): never {
  throw new Error('the system has no api')
}

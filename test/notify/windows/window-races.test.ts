import fc from 'fast-check'
import t from 'tap'
import { markRead, remove } from '../../../src/notify/inbox/mark.ts'
import { flushWindows } from '../../../src/notify/windows/flush.ts'
import { block, unblock } from '../../../src/social/blocks/write.ts'
import { deleteComment } from '../../../src/social/comments/write.ts'
import { likeBatch, unlikeBatch } from '../../../src/social/likes/write.ts'
import { settled } from '../../settled.ts'
import { setup, type TestSystem } from '../../setup.ts'
import { sized } from '../../size.ts'
import { createComment } from '../../social/posts/write.ts'
import { makePost, makeUsers } from '../dispatch/events.ts'
import { auditWindows, wrongs } from './window-audit.ts'

t.setTimeout(240_000)

const kinds = [
  'like',
  'like',
  'like',
  'unlike',
  'unlike',
  'comment',
  'comment',
  'uncomment',
  'read',
  'remove',
  'due',
  'due',
  'flush',
  'block',
] as const
type Step = { kind: (typeof kinds)[number]; who: number }
const ACTORS_PER_SCRIPT = 3
const SCRIPTS = 4

t.test('in any race, everybody is shown once in one count, and each flush changes something', async (t) => {
  const system = await setup(t, { worker: true })
  await auditWindows(system.pool)
  const script = fc.array(fc.record({ kind: fc.constantFrom(...kinds), who: fc.nat(ACTORS_PER_SCRIPT - 1) }), {
    minLength: 5,
    maxLength: 30,
  })
  const scripts = fc.array(script, { minLength: SCRIPTS, maxLength: SCRIPTS })
  const run = async (threshold: number, steps: Step[][]) => {
    await system.pool.query(
      `update notify.types set instant_threshold = $1, max_group_size = 6 where type = 'post.liked'`,
      [threshold],
    )
    const [owner = '', ...actors] = await makeUsers(
      system.app,
      Array.from({ length: 1 + SCRIPTS * ACTORS_PER_SCRIPT }, (_, i) => `U${i}`),
    )
    const post = await makePost(system.app, owner)
    await Promise.all(steps.map((script, i) => play(system, script, owner, post, actors.slice(i * ACTORS_PER_SCRIPT))))
    await flushAll(system)
    const wrong = [...(await wrongs(system.pool)), ...(await forgotten(system, owner, blockedBy(steps, actors)))]
    if (wrong.length > 0) throw new Error(JSON.stringify(wrong))
  }
  await fc.assert(fc.asyncProperty(fc.constantFrom(0, 2, 3), scripts, run), {
    numRuns: sized(12, 5),
    endOnFailure: true,
  })
  const { rows } = await system.pool.query('select count(*)::int as waited from audit.shown where waited')
  t.ok(rows[0].waited > 10, `${rows[0].waited} were shown after waiting`)
})

/** One of several parallel sequences. Each has its own actors, so no actor does two things at the same time. */
async function play(
  { app, pool }: TestSystem,
  script: Step[],
  owner: string,
  post: string,
  actors: string[],
): Promise<void> {
  const comments: { id: string; by: string }[] = []
  for (const { kind, who } of script) {
    const by = actors[who] ?? ''
    const like = [{ postId: post, userId: by, requestId: 'r' }]
    if (kind === 'like') await likeBatch(pool, like)
    if (kind === 'unlike') await unlikeBatch(pool, like)
    if (kind === 'comment')
      comments.push({
        id: (await createComment(app, { userId: by, requestId: 'r' }, { postId: post, parentId: null, body: 'hi' })).id,
        by,
      })
    const last = kind === 'uncomment' ? comments.pop() : undefined
    if (last) await deleteComment(app, { userId: last.by, requestId: 'r' }, last.id)
    if (kind === 'read') await markRead(app, owner, { upTo: Number.MAX_SAFE_INTEGER })
    if (kind === 'remove') await remove(app, owner, { upTo: Number.MAX_SAFE_INTEGER })
    if (kind === 'due') await pool.query('update notify.windows set due_at = now() where due_at > now()')
    if (kind === 'flush') await flushWindows(app)
    if (kind === 'block') await block(app, { userId: owner, otherId: by, requestId: 'r' })
    if (kind === 'block') await unblock(app, owner, by)
    app.wakeUps.eventsAppended()
  }
}

async function flushAll(system: TestSystem): Promise<void> {
  do {
    await settled(system)
    await system.pool.query('update notify.windows set due_at = now() where due_at > now()')
    await flushWindows(system.app)
  } while ((await system.pool.query('select from notify.windows')).rowCount)
}

function blockedBy(scripts: Step[][], actors: string[]): string[] {
  return scripts.flatMap((script, i) =>
    script.filter(({ kind }) => kind === 'block').map(({ who }) => actors[i * ACTORS_PER_SCRIPT + who] ?? ''),
  )
}

/** Existing likes and comments that no count contains and that were never shown, without those of blocked users. */
async function forgotten({ pool }: TestSystem, owner: string, blocked: string[]): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select x.source_id, s.decision from (
       select 'like:' || l.post_id || ':' || l.user_id as source_id from social.likes l join social.posts p on p.id = l.post_id and p.author_id = $1
       union all
       select 'comment:' || c.id from social.comments c join social.posts p on p.id = c.post_id and p.author_id = $1 where c.deleted_at is null
     ) x
     left join notify.sources s on s.user_id = $1 and s.source_id = x.source_id
     where s.source_id is null or (not s.live and not s.notified and s.actor_id <> all($2::bigint[]))`,
    [owner, blocked],
  )
  return rows
}

import assert from 'node:assert/strict'
import type pg from 'pg'
import type { Notification } from '../../src/protocol/notification.ts'
import type { TestClient } from '../client.ts'

/** A row of the schema `social` about which a user must be notified. */
type Fact = { source: string; type: string; object: string; actorId: string }

/** The notifications that this user must have, derived from the tables of `social` alone. */
async function factsFor(pool: pg.Pool, userId: string): Promise<Fact[]> {
  const { rows } = await pool.query<Fact>(
    `with visible as (select * from social.posts where deleted_at is null),
     comments as (
       select c.*, p.author_id as post_author_id, parent.author_id as parent_author_id, parent.deleted_at as parent_deleted_at
       from social.comments c join visible p on p.id = c.post_id left join social.comments parent on parent.id = c.parent_id
       where c.deleted_at is null and c.author_id <> $1
     ), me as (select '@' || username || '( |$)' as name from social.users where id = $1)
     select 'like:' || p.id || ':' || l.user_id as source, 'post.liked' as type, 'post:' || p.id as object, l.user_id as "actorId"
     from social.likes l join visible p on p.id = l.post_id where p.author_id = $1 and l.user_id <> $1
     union all
     select 'follow:' || follower_id || ':' || $1, 'user.followed', 'user:' || $1, follower_id
     from social.follows where followee_id = $1
     union all
     select 'post:' || id, 'user.mentioned', 'post:' || id, author_id from visible, me where author_id <> $1 and body ~ me.name
     union all
     select 'comment:' || id, case when parent_author_id = $1 then 'comment.replied' when body ~ me.name then 'user.mentioned' else 'comment.created' end,
       case when parent_author_id = $1 then 'comment:' || parent_id when body ~ me.name then 'comment:' || id else 'post:' || post_id end, author_id
     from comments, me
     where case when parent_author_id = $1 then parent_deleted_at is null else body ~ me.name or post_author_id = $1 end`,
    [userId],
  )
  return rows
}

/**
 * Compares all notifications of a user, also archived ones, with the facts: each shown actor did it, and each fact is shown,
 * unless the user removed it, or it was taken back and repeated after its group had closed.
 * Needs at most three other people, so that every actor is shown.
 */
export async function equalsTheFacts(pool: pg.Pool, user: TestClient): Promise<void> {
  const facts = await factsFor(pool, user.id)
  const { items }: { items: Notification[] } = await user.get('/notifications/history?limit=100')
  const shown = items.flatMap((item) => item.actors.map((actor) => keyOf(item.type, objectOf(item), actor.id)))
  const known = new Set(facts.map((fact) => keyOf(fact.type, fact.object, fact.actorId)))
  assert.deepEqual(
    shown.filter((key) => !known.has(key)),
    [],
    `${user.username} is shown of nothing that is not so`,
  )
  for (const { type, actors, actorCount } of items) assert.equal(actors.length, actorCount, `${type} names everybody`)

  const untold = facts.filter((fact) => !shown.includes(keyOf(fact.type, fact.object, fact.actorId)))
  const { rows } = await pool.query<{ source: string }>(
    `select source_id as source from notify.sources
     where user_id = $1 and (decision = 'removed' or decision = 'stale_group' and source_id ~ '^(like|follow):')`,
    [user.id],
  )
  const explained = new Set(rows.map((row) => row.source))
  assert.deepEqual(
    untold.filter(({ source }) => !explained.has(source)),
    [],
    `${user.username} is shown of everything`,
  )
}

/** Checks that all notifications of this user concern their post, their comment, themselves, or a text that mentions them. */
export async function isAboutUser(pool: pg.Pool, user: TestClient, received: Notification[]): Promise<void> {
  const { rows } = await pool.query<{ object: string }>(
    `select 'post.liked post:' || id as object from social.posts where author_id = $1
     union all select 'comment.created post:' || id from social.posts where author_id = $1
     union all select 'comment.replied comment:' || id from social.comments where author_id = $1
     union all select 'user.followed user:' || $1`,
    [user.id],
  )
  const own = new Set(rows.map((row) => row.object))
  // Deleted posts have no rows.
  const { rows: visible } = await pool.query<{ object: string }>(
    `select 'post:' || id as object from social.posts union all select 'comment:' || id from social.comments`,
  )
  const checkable = new Set(visible.map((row) => row.object))
  const strange = received.filter((item) => {
    if (item.actors.some((actor) => actor.id === user.id)) return true
    if (item.type === 'user.mentioned' || (item.type !== 'user.followed' && !checkable.has(objectOf(item))))
      return false
    return !own.has(`${item.type} ${objectOf(item)}`)
  })
  assert.deepEqual(strange, [], `${user.username} was sent nothing of anybody else`)
}

/** Checks that one like or follow is in one notification, however often it was undone and repeated. */
export function isToldOnce(user: TestClient, received: Notification[]): void {
  const tellings = new Map<string, Set<string>>()
  for (const item of received) {
    if (item.type !== 'post.liked' && item.type !== 'user.followed') continue
    for (const actor of item.actors) {
      const key = keyOf(item.type, objectOf(item), actor.id)
      tellings.set(key, (tellings.get(key) ?? new Set()).add(item.id))
    }
  }
  const twice = [...tellings].filter(([, ids]) => ids.size > 1)
  assert.deepEqual(twice, [], `${user.username} is shown of nothing twice`)
}

function objectOf({ object }: Notification): string {
  return object ? `${object.type}:${object.id}` : ''
}

function keyOf(...parts: string[]): string {
  return parts.join(' ')
}

import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { AppError } from '../../errors.ts'
import { deleteUser } from '../users/delete.ts'

/** Milliseconds that a request waits for the worker to take back the users' actions. The next call removes the rest. */
const WAIT_MS = 20_000
const LOOK_EVERY_MS = 50

/**
 * Deletes demo users like any account, so that counters, inboxes and windows follow. Then deletes their rows too.
 * Returns the number of deleted users.
 */
export async function removeDemoUsers(app: App, kind: 'crowd' | 'device'): Promise<number> {
  const { rows } = await app.pool.query<{ id: string }>(
    `select u.id from social.demo_users d join social.users u on u.id = d.user_id
     where d.kind = $1 and u.deleted_at is null order by u.id`,
    [kind],
  )
  return removeAll(app, rows)
}

/** Accounts that `removeEverything` would delete. */
export async function countEverybody(trx: pg.ClientBase): Promise<number> {
  const { rows } = await trx.query<{ accounts: number }>(
    `select count(*)::int as accounts from social.users where role = 'user' and deleted_at is null`,
  )
  return rows[0]?.accounts ?? 0
}

/** Deletes every account except those with a role, and all other data of the demo. */
export async function removeEverything(app: App): Promise<number> {
  const { rows } = await app.pool.query<{ id: string }>(
    `select id from social.users where role = 'user' and deleted_at is null order by id`,
  )
  return removeAll(app, rows)
}

/** Returns how many of them this call deleted. Another call may be deleting the same ones. */
async function removeAll(app: App, users: { id: string }[]): Promise<number> {
  let removed = 0
  for (const { id } of users)
    try {
      await deleteUser(app, id)
      removed += 1
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'USER_NOT_FOUND') throw error
    }
  await removeRows(app)
  return removed
}

async function removeRows(app: App): Promise<void> {
  const deadline = Date.now() + WAIT_MS
  while ((await unfinished(app)) > 0 && Date.now() < deadline) await delay(LOOK_EVERY_MS)
  await inTransaction(app.pool, async (trx) => {
    // A normal deletion leaves the emptied comments. Those without replies go too.
    await trx.query(`
      delete from social.comments c using social.demo_users d
      where c.author_id = d.user_id and c.deleted_at is not null
        and not exists (select from social.comments r where r.parent_id = c.id)`)
    const { rows } = await trx.query<{ ids: string[]; looks: Buffer[] }>(`
      select coalesce(array_agg(d.user_id), '{}')::text[] as ids, coalesce(array_agg(d.look), '{}') as looks
      from social.demo_users d
      where exists (select from notify.fan_outs f where f.kind = 'delete_user' and f.object_id = d.user_id and f.finished_at is not null)
        and not exists (select from social.comments c where c.author_id = d.user_id)
        and not exists (select from social.posts p where p.author_id = d.user_id)
        and not exists (select from social.media m where m.owner_id = d.user_id)`)
    const { ids, looks } = rows[0] ?? { ids: [], looks: [] }
    await trx.query(
      `delete from social.refresh_tokens t using social.sessions s where s.id = t.session_id and s.user_id = any($1::bigint[])`,
      [ids],
    )
    await trx.query('delete from social.sessions where user_id = any($1::bigint[])', [ids])
    await trx.query('delete from social.users where id = any($1::bigint[])', [ids])
    await trx.query('delete from social.taken_names where look = any($1::bytea[])', [looks])
  })
}

/** Deletions of demo users and of their comments and posts that the worker has not finished. */
async function unfinished({ pool }: App): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(`
    select count(*)::int as count
    from social.demo_users d
    join social.users u on u.id = d.user_id and u.deleted_at is not null
    where not exists (
        select from notify.fan_outs f where f.kind = 'delete_user' and f.object_id = d.user_id and f.finished_at is not null)
      or exists (
        select from social.comments c join notify.fan_outs f on f.kind = 'retract_comment' and f.object_id = c.id
        where c.author_id = d.user_id and f.finished_at is null)
      or exists (
        select from social.posts p join notify.fan_outs f on f.kind = 'retract_post' and f.object_id = p.id
        where p.author_id = d.user_id and f.finished_at is null)`)
  return rows[0]?.count ?? 0
}

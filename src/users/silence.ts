import type pg from 'pg'
import type { App } from '../app.ts'
import { endBells } from '../bells/store.ts'
import { inTransaction } from '../db/transaction.ts'
import { fail } from '../errors.ts'
import { appendRetractions } from '../fan-outs/append-retractions.ts'
import { takenFollows } from '../follows/taken.ts'
import { translateBusy } from '../notifications/change-inbox.ts'
import { lockInboxes } from '../notifications/locks.ts'
import { retractSources } from '../notifications/retract.ts'

type Pair = { userId: string; otherId: string; requestId: string }

/**
 * Each is hidden from the other from now on: posts, comments, lists and search leave them out, both follows end, bells too, and
 * what the other did disappears from the blocker's inbox.
 * The inbox is locked first, so that a batch under way either sees the block or has come before it.
 */
export async function block(app: App, { userId, otherId, requestId }: Pair): Promise<void> {
  const types = await app.types.current()
  await inTransaction(app.pool, async (client) => {
    await endFollows(client, { userId, otherId, requestId })
    await endBells(client, userId, otherId)
    await lockInboxes(client, [userId], false)
    await client.query('insert into social.blocks (user_id, other_id) values ($1, $2) on conflict do nothing', [
      userId,
      otherId,
    ])
    await retractSources(client, types, 'user_id = $1 and actor_id = $2 and (live or waits_for is not null)', [
      userId,
      otherId,
    ])
  }).catch(translateBusy)
  app.wakeUps.eventsAppended()
}

/** What was said while the block stood is not told afterwards; the follows stay ended. */
export async function unblock({ pool }: App, userId: string, otherId: string): Promise<void> {
  await pool.query('delete from social.blocks where user_id = $1 and other_id = $2', [userId, otherId])
}

/** `seconds` null: until it is taken back. Nothing that was told already disappears. */
export async function mute({ pool }: App, userId: string, otherId: string, seconds: number | null): Promise<void> {
  await pool.query(
    `insert into social.mutes (user_id, other_id, until) values ($1, $2, now() + make_interval(secs => $3))
     on conflict (user_id, other_id) do update set until = excluded.until`,
    [userId, otherId, seconds],
  )
}

export async function unmute({ pool }: App, userId: string, otherId: string): Promise<void> {
  await pool.query('delete from social.mutes where user_id = $1 and other_id = $2', [userId, otherId])
}

/** @throws {AppError} POST_NOT_FOUND */
export async function muteThread({ pool }: App, userId: string, postId: string): Promise<void> {
  const { rowCount } = await pool.query(
    `insert into social.thread_mutes (user_id, post_id)
     select $1, id from social.posts where id = $2 and deleted_at is null for key share
     on conflict (user_id, post_id) do update set created_at = thread_mutes.created_at`,
    [userId, postId],
  )
  if (rowCount === 0) throw fail('POST_NOT_FOUND')
}

/** @throws {AppError} POST_NOT_FOUND */
export async function unmuteThread({ pool }: App, userId: string, postId: string): Promise<void> {
  const { rowCount } = await pool.query(
    `with gone as (delete from social.thread_mutes where user_id = $1 and post_id = $2)
     select from social.posts where id = $2 and deleted_at is null`,
    [userId, postId],
  )
  if (rowCount === 0) throw fail('POST_NOT_FOUND')
}

/** Like two unfollows, with their events. */
async function endFollows(client: pg.ClientBase, { userId, otherId, requestId }: Pair): Promise<void> {
  await appendRetractions(client, takenFollows(betweenBoth), [userId, otherId], requestId)
}

const betweenBoth = `
  delete from social.follows where (follower_id, followee_id) in (($1::bigint, $2::bigint), ($2::bigint, $1::bigint))`

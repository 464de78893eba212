import type pg from 'pg'
import type { App } from '../../app.ts'
import { build, run } from '../../db/kysely.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { runChunkOf } from '../../notify/fan-outs/run.ts'
import { translateBusy } from '../../notify/inbox/lock.ts'
import { appendRetractions } from '../../notify/outbox/append.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import { endBells } from '../bells/store.ts'
import { takenFollows } from '../follows/event.ts'
import { retractActorAtOnce } from './retract-actor.ts'

type Pair = { userId: string; otherId: string; requestId: string }

/**
 * Hides two users from each other in posts, comments, lists and search. Ends their follows and bells. Removes the other
 * user's actions from the blocker's inbox: usually at once, with a fan-out for a large rest. Locks the inbox only after
 * the block is committed, so that earlier batches are covered and later ones see the block.
 */
export async function block(app: App, pair: Pair): Promise<void> {
  const types = await app.types.current()
  const fanOutId = await inTransaction(app.pool, (client) => writeBlock(client, pair)).catch(translateBusy)
  app.wakeUps.eventsAppended()
  await inTransaction(app.pool, (client) => runChunkOf(client, fanOutId, retractActorAtOnce, types)).catch(
    translateBusy,
  )
}

/**
 * Follows and bells lock both users and then check for blocks. So each comes before this block, which ends it, or sees
 * the block. This locks only the lower id: locking both could deadlock with a batch of likes.
 */
async function writeBlock(client: pg.ClientBase, { userId, otherId, requestId }: Pair): Promise<string> {
  await client.query('select from social.users where id = least($1::bigint, $2::bigint) for update', [userId, otherId])
  await endFollows(client, { userId, otherId, requestId })
  await endBells(client, userId, otherId)
  await run(
    client,
    build
      .insertInto('social.blocks')
      .values({ userId, otherId })
      .onConflict((pair) => pair.doNothing()),
  )
  // Due a little later, because the request runs the first chunk itself.
  const { rows } = await client.query<{ id: string }>(
    `insert into notify.fan_outs (kind, object_id, actor_id, due_at) values ('retract_actor', $1, $2, now() + interval '2 seconds')
     on conflict on constraint fan_out_once do update
     set cursor_user_id = 0, up_to = null, due_at = excluded.due_at, finished_at = null, attempts = 0
     returning id`,
    [userId, otherId],
  )
  return String(rows[0]?.id)
}

/**
 * Ends a block. Events from the time of the block are not delivered later, and follows are not restored. The removal of
 * earlier notifications continues.
 */
export async function unblock({ pool }: App, userId: string, otherId: string): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query(
      `update notify.fan_outs set up_to = nextval('notify.outbox_id_seq')
       where kind = 'retract_actor' and object_id = $1 and actor_id = $2 and finished_at is null and up_to is null`,
      [userId, otherId],
    )
    await run(client, build.deleteFrom('social.blocks').where('userId', '=', userId).where('otherId', '=', otherId))
  })
}

/** Mutes a user. `seconds` null: permanently. Existing notifications remain. */
export async function mute({ pool }: App, userId: string, otherId: string, seconds: number | null): Promise<void> {
  await pool.query(
    `insert into social.mutes (user_id, other_id, until) values ($1, $2, now() + make_interval(secs => $3))
     on conflict (user_id, other_id) do update set until = excluded.until`,
    [userId, otherId, seconds],
  )
}

export async function unmute({ pool }: App, userId: string, otherId: string): Promise<void> {
  await run(pool, build.deleteFrom('social.mutes').where('userId', '=', userId).where('otherId', '=', otherId))
}

/** @throws {AppError} POST_NOT_FOUND */
export async function muteThread({ pool }: App, userId: string, postId: string): Promise<void> {
  const { rowCount } = await pool.query(
    `insert into social.thread_mutes (user_id, post_id)
     select $1, p.id from social.posts p
     where p.id = $2 and p.deleted_at is null and ${unblocked('$1::bigint', 'p.author_id')} for key share
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

/** Ends the follows between two users in both directions, with the events of two unfollows. */
async function endFollows(client: pg.ClientBase, { userId, otherId, requestId }: Pair): Promise<void> {
  await appendRetractions(client, takenFollows(betweenBoth), [userId, otherId], requestId)
}

const betweenBoth = `
  delete from social.follows where (follower_id, followee_id) in (($1::bigint, $2::bigint), ($2::bigint, $1::bigint))`

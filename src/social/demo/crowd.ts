import type pg from 'pg'
import type { App } from '../../app.ts'
import { lockName } from '../../db/named-lock.ts'
import { inTransaction } from '../../db/transaction.ts'
import { appendEvents, type NewEvent } from '../../notify/outbox/append.ts'
import { insertPost } from '../posts/write.ts'

export type From = 'mixed' | 'followers' | 'strangers'
type Kind = 'crowd' | 'device'

const names = [
  'Cleo Marsh',
  'Dora Lind',
  'Emil Costa',
  'Farah Haddad',
  'Goran Petrov',
  'Hana Mori',
  'Igor Nowak',
  'Jana Weiss',
  'Kofi Mensah',
  'Lea Martin',
  'Milo Rossi',
  'Nora Berg',
  'Omar Aziz',
  'Pia Holm',
  'Quinn Doyle',
  'Rosa Vega',
  'Sami Kaya',
  'Tara Singh',
  'Uma Rao',
  'Vito Neri',
]

/**
 * `count` users who have not liked the post: friends of the author (mutual follows), strangers, or alternately both.
 */
export async function gatherCrowd(
  trx: pg.ClientBase,
  post: { id: string; authorId: string },
  count: number,
  from: From,
  requestId: string,
): Promise<string[]> {
  const friends = from === 'mixed' ? Math.ceil(count / 2) : from === 'followers' ? count : 0
  const near = await fillUp(trx, post, friends, true, requestId)
  const far = await fillUp(trx, post, count - friends, false, requestId)
  return Array.from({ length: count }, (_, place) =>
    place % 2 === 0 ? (near.shift() ?? far.shift()) : (far.shift() ?? near.shift()),
  ).filter((id) => id !== undefined)
}

/** Takes existing users first, then creates new ones. */
async function fillUp(
  trx: pg.ClientBase,
  post: { id: string; authorId: string },
  count: number,
  friends: boolean,
  requestId: string,
): Promise<string[]> {
  if (count === 0) return []
  const { rows } = await trx.query<{ id: string }>(
    `select u.id
     from social.demo_users d
     join social.users u on u.id = d.user_id and u.deleted_at is null
     where d.kind = 'crowd'
       and exists (select from social.follows f where f.follower_id = u.id and f.followee_id = $1) = $2
       and not exists (select from social.likes l where l.post_id = $3 and l.user_id = u.id)
       and not social.either_blocks(u.id, $1)
     order by u.id
     limit $4`,
    [post.authorId, friends, post.id, count],
  )
  const known = rows.map(({ id }) => id)
  const made = await makeUsers(
    trx,
    'crowd',
    Array.from({ length: count - known.length }, (_, n) => nameOf(n + known.length)),
  )
  if (friends) await befriend(trx, made, post.authorId, requestId)
  return [...known, ...made]
}

function nameOf(place: number): string {
  return names[(place + Math.floor(Math.random() * names.length)) % names.length] ?? 'Cleo Marsh'
}

/** Accounts without a usable password. */
export async function makeUsers(trx: pg.ClientBase, kind: Kind, displayNames: string[]): Promise<string[]> {
  const { rows } = await trx.query<{ id: string }>(
    `with wanted as (
       select w.display_name, lower(split_part(w.display_name, ' ', 1)) || '_' || substr(md5(gen_random_uuid()::text), 1, 8) as username
       from unnest($1::text[]) w (display_name)
     ), taken as (
       insert into social.taken_names (look) select social.name_look(username) from wanted on conflict do nothing
     ), made as (
       insert into social.users (username, email, password_hash, display_name)
       select username, username || '@invalid', '!', display_name from wanted
       returning id, username
     ), inboxes as (
       insert into notify.inbox (user_id) select id from made
     ), marked as (
       insert into social.demo_users (user_id, kind, look) select id, $2, social.name_look(username) from made
     )
     select id from made order by id`,
    [displayNames, kind],
  )
  return rows.map(({ id }) => id)
}

/**
 * Creates real follows in both directions. Their events change the counters but notify nobody, so that the demo's
 * displays show only likes and comments.
 */
export async function befriend(trx: pg.ClientBase, ids: string[], authorId: string, requestId: string): Promise<void> {
  const { rows } = await trx.query<{ followerId: string; followeeId: string }>(
    `insert into social.follows (follower_id, followee_id)
     select pair.follower_id, pair.followee_id
     from unnest($1::bigint[]) w (id)
     cross join lateral (values (w.id, $2::bigint), ($2::bigint, w.id)) pair (follower_id, followee_id)
     order by pair.follower_id, pair.followee_id
     on conflict do nothing
     returning follower_id as "followerId", followee_id as "followeeId"`,
    [ids, authorId],
  )
  await appendEvents(
    trx,
    rows.map(({ followerId, followeeId }) => quietFollow(followerId, followeeId, requestId)),
  )
}

function quietFollow(followerId: string, followeeId: string, requestId: string): NewEvent {
  return {
    action: 'follow',
    counted: true,
    sourceId: `follow:${followerId}:${followeeId}`,
    type: null,
    recipientId: null,
    actorId: followerId,
    objectType: 'user',
    objectId: followeeId,
    threadKey: null,
    groupKey: null,
    data: { followeeId },
    requestId,
  }
}

/** Two friends with a post each. Created on the first call and reused after that. */
export async function twoDevices(app: App, requestId: string): Promise<string[]> {
  return inTransaction(app.pool, async (trx) => {
    await lockName(trx, 'demo devices')
    const { rows } = await trx.query<{ id: string }>(
      `select u.id from social.demo_users d join social.users u on u.id = d.user_id and u.deleted_at is null
       where d.kind = 'device' order by u.id limit 2`,
    )
    if (rows.length === 2) return rows.map(({ id }) => id)
    const [ana = '', ben = ''] = await makeUsers(trx, 'device', ['Ana Silva', 'Ben Okafor'])
    await befriend(trx, [ben], ana, requestId)
    const write = (userId: string, body: string) => insertPost(trx, { userId, requestId }, body, [])
    await write(ben, 'Which ferry do you take to the island, the one at eight or the one at nine?')
    await write(ana, 'Good morning from the harbour. The fog is so thick that the gulls walk.')
    return [ana, ben]
  })
}

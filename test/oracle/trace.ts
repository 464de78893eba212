import type { App } from '../../src/app.ts'
import { AppError } from '../../src/errors.ts'
import { archive, markRead, markUnread, remove, unarchive, type Which } from '../../src/notify/inbox/mark.ts'
import type { Preferences } from '../../src/notify/preferences/document.ts'
import { storePreferences } from '../../src/notify/preferences/store.ts'
import { switchOff, switchOn } from '../../src/social/bells/store.ts'
import { block, mute, muteThread, unblock, unmute, unmuteThread } from '../../src/social/blocks/write.ts'
import { deleteComment } from '../../src/social/comments/write.ts'
import { followBatch, unfollowBatch } from '../../src/social/follows/write.ts'
import { likeBatch, unlikeBatch } from '../../src/social/likes/write.ts'
import { deletePost } from '../../src/social/posts/write.ts'
import { deleteUser } from '../../src/social/users/delete.ts'
import { createComment, createPost } from '../social/posts/write.ts'

export type Random = () => number
type Thing = { id: string; authorId: string; postId: string }
export type World = {
  app: App
  random: Random
  users: string[]
  posts: Thing[]
  comments: Thing[]
  /** Highest number in a username. That user may be deleted. */
  names: number
  /** Number of actions by kind that wrote or removed a row of the domain; the others changed nothing. */
  effective: Record<string, number>
}

const requestId = 'trace'
const actor = (userId: string) => ({ userId, requestId })

/** A few are everywhere, most are hardly ever seen. */
const popular = <T>(items: T[], random: Random): T => pick(items, () => random() ** 4)

function note({ effective }: World, kind: string, count: number): void {
  effective[kind] = (effective[kind] ?? 0) + count
}

type Table = 'likes' | 'follows' | 'bells' | 'blocks' | 'mutes' | 'thread_mutes'

/** Does what only adds rows to a table, or only removes some, and notes how many that were. */
async function counting(world: World, kind: string, table: Table, act: () => Promise<unknown>): Promise<void> {
  const before = await rowsOf(world, table)
  await act()
  note(world, kind, Math.abs((await rowsOf(world, table)) - before))
}

async function rowsOf({ app }: World, table: Table): Promise<number> {
  const { rows } = await app.pool.query<{ count: number }>(`select count(*)::int as count from social.${table}`)
  return rows[0]?.count ?? 0
}

function pick<T>(items: readonly T[], random: Random): T {
  const item = items[Math.floor(items.length * random())]
  if (item === undefined) throw new Error('there is nothing to choose from')
  return item
}

const anyone = ({ users, random }: World) => users[Math.floor(users.length * random())] ?? ''

/** Distinct pairs of a popular post or user and a random user. */
function pairs<T>(world: World, items: T[], count: number, key: (item: T) => string): [T, string][] {
  const found = new Map<string, [T, string]>()
  for (let i = 0; i < count; i++) {
    const pair: [T, string] = [popular(items, world.random), anyone(world)]
    found.set(`${key(pair[0])} ${pair[1]}`, pair)
  }
  return [...found.values()]
}

/** Changes of settings and relations, and actions on inboxes, one after the other. Passes on to the oracle what no table stores. */
export async function speak(world: World, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const [userId, otherId] = [popular(world.users, world.random), anyone(world)]
    if (userId !== otherId) await say(world, userId, otherId)
  }
}

async function say(world: World, userId: string, otherId: string): Promise<void> {
  const { app, random, posts } = world
  const kind = random()
  const postId = popular(posts, random).id
  const bell = { userId: otherId, authorId: userId }
  if (kind < 0.12) {
    await counting(world, 'block', 'blocks', () => block(app, { userId, otherId, requestId }))
    await app.pool.query('call oracle.block($1, $2)', [userId, otherId])
  } else if (kind < 0.2) await counting(world, 'unblock', 'blocks', () => unblock(app, userId, otherId))
  else if (kind < 0.27) {
    const seconds = pick([null, 0, 86_400], random)
    await counting(world, 'mute', 'mutes', () => mute(app, userId, otherId, seconds))
  } else if (kind < 0.32) await counting(world, 'unmute', 'mutes', () => unmute(app, userId, otherId))
  else if (kind < 0.4)
    await counting(world, 'mute thread', 'thread_mutes', () =>
      unlessHidden(world, () => muteThread(app, userId, postId)),
    )
  else if (kind < 0.45) await counting(world, 'unmute thread', 'thread_mutes', () => unmuteThread(app, userId, postId))
  else if (kind < 0.55) await counting(world, 'bell on', 'bells', () => switchOn(app.pool, bell))
  else if (kind < 0.58) await counting(world, 'bell off', 'bells', () => switchOff(app.pool, bell))
  else if (kind < 0.75) {
    await storePreferences(app.pool, userId, preferences(random))
    note(world, 'set preferences', 1)
  } else if (kind < 0.82) {
    const { updated } = await markRead(app, userId, { upTo: Number.MAX_SAFE_INTEGER })
    await app.pool.query('call oracle.read_all($1)', [userId])
    note(world, 'read all', Math.min(1, updated))
  } else await touch(world, userId)
}

const touches: Record<string, (app: App, userId: string, which: Which) => Promise<{ updated: number }>> = {
  read: markRead,
  unread: markUnread,
  archive,
  unarchive,
  remove,
}

/** A random notification of a user, filtered or not. */
async function touch(world: World, userId: string): Promise<void> {
  const { app, random } = world
  const what = pick(Object.keys(touches), random)
  const { rows } = await app.pool.query<{ id: string; source: string }>(
    `select n.id, (select min(s.source_id) from notify.sources s where s.user_id = n.user_id and s.notification_id = n.id and s.live) as source
     from notify.notifications n where n.user_id = $1 order by n.id`,
    [userId],
  )
  if (rows.length === 0) return
  const { id, source } = pick(rows, random)
  const result = await touches[what]?.(app, userId, { ids: [id] })
  await app.pool.query('call oracle.touch($1, $2, $3)', [what, userId, source])
  note(world, what, result?.updated ?? 0)
}

function preferences(random: Random): Preferences {
  const types: Preferences['types'] = {}
  for (const type of [
    'post.liked',
    'comment.created',
    'comment.replied',
    'user.mentioned',
    'user.followed',
    'shop.paid',
  ])
    if (random() < 0.2) types[type] = { inApp: random() < 0.5, ...(random() < 0.5 && { email: random() < 0.5 }) }
  return {
    policy: { strangers: pick(['accept', 'accept', 'filter', 'drop'] as const, random) },
    types,
    channels: { inApp: random() < 0.8, email: random() < 0.8 },
    dnd: {
      enabled: random() < 0.5,
      timeZone: pick(['Asia/Kathmandu', 'America/New_York'], random),
      windows: [wholeDays(random)],
    },
    snoozeUntil: pick([null, null, '2001-01-01T00:00:00Z', inYears(5)], random),
  }
}

const inYears = (years: number) => new Date(Date.now() + years * 365 * 86_400_000).toISOString()

/** Every day, or one that is far from today in every zone, so that nothing changes while it is looked at. */
function wholeDays(random: Random) {
  const inThreeDays = ((new Date().getUTCDay() + 2) % 7) + 1
  return { days: pick([[1, 2, 3, 4, 5, 6, 7], [inThreeDays]], random), from: '00:00', to: '00:00' }
}

/** Takes back: likes, follows, comments, sends, now and then a post or an account. */
export async function undo(world: World, count: number): Promise<void> {
  const { app, users, posts, comments, random } = world
  const unliked = pairs(world, posts, count, ({ id }) => id).map(([{ id }, userId]) => ({
    postId: id,
    userId,
    requestId,
  }))
  await counting(world, 'unlike', 'likes', () => unlikeBatch(app.pool, unliked))
  const unfollowed = follows(world, users, count / 4)
  await counting(world, 'unfollow', 'follows', () => unfollowBatch(app.pool, unfollowed))
  for (const list of [comments, posts]) {
    for (let i = 0; i < count / (list === posts ? 200 : 20) && list.length > 20; i++) {
      const [gone] = list.splice(Math.floor(list.length * random() ** (list === posts ? 2 : 1)), 1)
      if (!gone) continue
      if (list === posts) world.comments = world.comments.filter((comment) => comment.postId !== gone.id)
      await (list === posts ? deletePost : deleteComment)(app, actor(gone.authorId), gone.id)
      note(world, list === posts ? 'delete post' : 'delete comment', 1)
    }
  }
  await retractSends(world, count / 10)
  for (let i = Math.floor(count / 500 + random()); i > 0 && users.length > 20; i--) await leave(world)
}

async function leave(world: World): Promise<void> {
  const [gone] = world.users.splice(Math.floor(world.users.length * world.random()), 1)
  await deleteUser(world.app, String(gone))
  const stays = ({ authorId }: Thing) => authorId !== gone
  world.posts = world.posts.filter(stays)
  const posts = new Set(world.posts.map(({ id }) => id))
  world.comments = world.comments.filter((comment) => stays(comment) && posts.has(comment.postId))
  note(world, 'delete user', 1)
}

export async function follow(world: World, count: number): Promise<void> {
  const followed = follows(world, world.users, count)
  await counting(world, 'follow', 'follows', () => followBatch(world.app.pool, followed))
}

function follows(world: World, users: string[], count: number) {
  const wanted = pairs(world, users, count, (id) => id).filter(([followeeId, followerId]) => followeeId !== followerId)
  return wanted.map(([followeeId, followerId]) => ({ followeeId, followerId, requestId }))
}

/** Posts, likes, sends and comments. Some comments are replies or mention a user. */
export async function act(world: World, count: number): Promise<void> {
  const { app, posts, comments, random } = world
  const newPosts = Array.from({ length: Math.ceil(count / 50) }, () => ({
    authorId: anyone(world),
    body: words(world),
  }))
  await sideBySide(newPosts, async ({ authorId, body }) => {
    const { id } = await createPost(app, actor(authorId), body)
    posts.push({ id, authorId, postId: id })
  })
  note(world, 'post', newPosts.length)
  const pairsOfLikes = pairs(world, posts, Math.floor(count * 0.83), ({ id }) => id)
  const liked = pairsOfLikes.map(([{ id }, userId]) => ({ postId: id, userId, requestId }))
  await counting(world, 'like', 'likes', () => likeBatch(app.pool, liked))
  await send(world, count * 0.05)
  const newComments = Array.from({ length: Math.ceil(count * 0.1) }, () => {
    const parent = random() < 0.4 && comments.length > 0 ? popular(comments, random) : null
    const { postId } = parent ?? popular(posts, random)
    return { authorId: anyone(world), comment: { postId, parentId: parent?.id ?? null, body: words(world) } }
  })
  await sideBySide(newComments, async ({ authorId, comment }) => {
    const made = await unlessHidden(world, () => createComment(app, actor(authorId), comment))
    if (made) comments.push({ id: made.id, authorId, postId: comment.postId })
    if (made) note(world, 'comment', 1)
  })
}

/** Returns undefined when the content is not found. It exists, so the only reason is a block. */
async function unlessHidden<T>(world: World, act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof AppError && ['POST_NOT_FOUND', 'COMMENT_NOT_FOUND'].includes(error.code))) throw error
    note(world, 'refused by a block', 1)
    return undefined
  }
}

/** Some at a time: the machine has better things to do than to wait for answers. */
async function sideBySide<T>(items: T[], act: (item: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < items.length; i += 8) await Promise.all(items.slice(i, i + 8).map(act))
}

const words = ({ random, names }: World) => (random() < 0.2 ? `hello @user${Math.ceil(names * random())}` : 'hello')

/** Sends by SQL: receipts that share a group, and codes that ignore preferences. The rules apply again to a repeated send that is not shown. */
async function send(world: World, count: number): Promise<void> {
  const sent = sends(world, count)
  const { rows } = await world.app.pool.query<{ count: number }>(
    `with asked as (select r, a, k from unnest($1::bigint[], $2::bigint[], $3::text[]) w (r, a, k)),
     emitted as materialized (
       select notify.emit(case k when 'code' then 'login.code' else 'shop.paid' end, array[r], concat_ws(':', k, r, a), title => k, actor_id => a,
         group_key => case k when 'receipt' then 'receipts' end, priority => case k when 'code' then 'critical' else 'normal' end) from asked
     ),
     known as (
       insert into oracle.sent (recipient, source, actor, type, grp, priority)
       select r, s, a, case k when 'code' then 'login.code' else 'shop.paid' end, case k when 'code' then s else 'shop.paid:receipts' end,
         case k when 'code' then 'critical' else 'normal' end
       from asked, notify.sql_source(concat_ws(':', k, r, a)) s
       on conflict do nothing returning 1
     ),
     again as (
       update oracle.sources t set active = false from asked where t.recipient = r and t.source = notify.sql_source(concat_ws(':', k, r, a)) and not t.live
     )
     select (select count(*)::int from known) as count from (select count(*) from emitted) x`,
    [sent.map(([recipientId]) => recipientId), sent.map(([, actorId]) => actorId), sent.map(([, , kind]) => kind)],
  )
  note(world, 'send', rows[0]?.count ?? 0)
}

async function retractSends(world: World, count: number): Promise<void> {
  const sent = sends(world, count)
  const { rows } = await world.app.pool.query<{ count: number }>(
    `with asked as (select r, concat_ws(':', k, r, a) as id from unnest($1::bigint[], $2::bigint[], $3::text[]) w (r, a, k)),
     retracted as materialized (select notify.retract(array[r], id) from asked),
     gone as (delete from oracle.sent s using asked where s.recipient = r and s.source = notify.sql_source(id) returning 1)
     select (select count(*)::int from gone) as count from (select count(*) from retracted) x`,
    [sent.map(([recipientId]) => recipientId), sent.map(([, actorId]) => actorId), sent.map(([, , kind]) => kind)],
  )
  note(world, 'retract send', rows[0]?.count ?? 0)
}

/** Recipient, actor and kind. */
function sends(world: World, count: number): [string, string, string][] {
  const people = pairs(world, world.users, count, (id) => id).filter(
    ([recipientId, actorId]) => recipientId !== actorId,
  )
  return people.map(([recipientId, actorId]) => [recipientId, actorId, world.random() < 0.7 ? 'receipt' : 'code'])
}

import type { App } from '../../src/app.ts'
import { createComment, deleteComment } from '../../src/comments/write.ts'
import { runFanOuts } from '../../src/fan-outs/run.ts'
import { followBatch, unfollowBatch } from '../../src/follows/batch.ts'
import { likeBatch, unlikeBatch } from '../../src/likes/batch.ts'
import { markRead } from '../../src/notifications/inbox.ts'
import { createPost, deletePost } from '../../src/posts/write.ts'
import type { Preferences } from '../../src/preferences/document.ts'
import { storePreferences } from '../../src/preferences/store.ts'
import { block, mute, muteThread, unblock, unmute, unmuteThread } from '../../src/users/silence.ts'

export type Random = () => number
type Thing = { id: string; authorId: string; postId: string }
export type World = {
  app: App
  random: Random
  users: string[]
  posts: Thing[]
  comments: Thing[]
  /** Actions by kind that wrote or removed a row of the domain; the others asked for what was so already. */
  effective: Record<string, number>
}

const requestId = 'trace'
const actor = (userId: string) => ({ userId, requestId })

/** A few are everywhere, most are hardly ever seen. */
export function popular<T>(items: T[], random: Random): T {
  const item = items[Math.floor(items.length * random() ** 4)]
  if (item === undefined) throw new Error('there is nothing to choose from')
  return item
}

function note({ effective }: World, kind: string, count: number): void {
  effective[kind] = (effective[kind] ?? 0) + count
}

type Table = 'likes' | 'follows' | 'blocks' | 'mutes' | 'thread_mutes'

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

const anyone = ({ users, random }: World) => users[Math.floor(users.length * random())] ?? ''

/** Distinct pairs of what is popular and anyone at all. */
function pairs<T>(world: World, items: T[], count: number, key: (item: T) => string): [T, string][] {
  const found = new Map<string, [T, string]>()
  for (let i = 0; i < count; i++) {
    const pair: [T, string] = [popular(items, world.random), anyone(world)]
    found.set(`${key(pair[0])} ${pair[1]}`, pair)
  }
  return [...found.values()]
}

/** What people say about themselves and each other, one after the other; the blocks and readings are told to `tell`. */
export async function speak(world: World, count: number, tell: (sql: string, values: string[]) => Promise<unknown>) {
  const { app, random, users, posts } = world
  for (let i = 0; i < count; i++) {
    const [userId, otherId] = [popular(users, random), anyone(world)]
    if (userId === otherId) continue
    const kind = random()
    const postId = popular(posts, random).id
    if (kind < 0.15) {
      await counting(world, 'block', 'blocks', () => block(app, { userId, otherId, requestId }))
      await tell('call oracle.block($1, $2)', [userId, otherId])
    } else if (kind < 0.3) await counting(world, 'unblock', 'blocks', () => unblock(app, userId, otherId))
    else if (kind < 0.4) await counting(world, 'mute', 'mutes', () => mute(app, userId, otherId, null))
    else if (kind < 0.5) await counting(world, 'unmute', 'mutes', () => unmute(app, userId, otherId))
    else if (kind < 0.6) await counting(world, 'mute thread', 'thread_mutes', () => muteThread(app, userId, postId))
    else if (kind < 0.65)
      await counting(world, 'unmute thread', 'thread_mutes', () => unmuteThread(app, userId, postId))
    else if (kind < 0.85) {
      await storePreferences(app.pool, userId, preferences(random))
      note(world, 'set preferences', 1)
    } else {
      const { updated } = await markRead(app, userId, { upTo: Number.MAX_SAFE_INTEGER })
      await tell('call oracle.read_all($1)', [userId])
      note(world, 'read all', Math.min(1, updated))
    }
  }
}

function preferences(random: Random): Preferences {
  const strangers = popular(['accept', 'filter', 'drop'] as const, () => random() ** 0.25)
  const types: Preferences['types'] = {}
  if (random() < 0.3) types['post.liked'] = { inApp: false }
  if (random() < 0.3) types['user.followed'] = { inApp: true }
  return { policy: { strangers }, types, channels: { inApp: random() < 0.8 } }
}

/** Takes back: likes, follows, comments, now and then a post. */
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
  await runFanOuts(app)
}

export async function follow(world: World, count: number): Promise<void> {
  const followed = follows(world, world.users, count)
  await counting(world, 'follow', 'follows', () => followBatch(world.app.pool, followed))
}

function follows(world: World, users: string[], count: number) {
  const wanted = pairs(world, users, count, (id) => id).filter(([followeeId, followerId]) => followeeId !== followerId)
  return wanted.map(([followeeId, followerId]) => ({ followeeId, followerId, requestId }))
}

/** Posts, likes and comments, some of them replies, some naming somebody. */
export async function act(world: World, count: number): Promise<void> {
  const { app, posts, comments, random } = world
  const newPosts = Array.from({ length: Math.ceil(count / 50) }, () => anyone(world))
  for (const authorId of newPosts) {
    const { id } = await createPost(app, actor(authorId), 'hello')
    posts.push({ id, authorId, postId: id })
  }
  note(world, 'post', newPosts.length)
  const pairsOfLikes = pairs(world, posts, Math.floor(count * 0.8), ({ id }) => id)
  const liked = pairsOfLikes.map(([{ id }, userId]) => ({ postId: id, userId, requestId }))
  await counting(world, 'like', 'likes', () => likeBatch(app.pool, liked))
  for (let i = 0; i < count * 0.18; i++) {
    const authorId = anyone(world)
    const parent = random() < 0.4 && comments.length > 0 ? popular(comments, random) : null
    const { postId } = parent ?? popular(posts, random)
    const body = random() < 0.2 ? `hello @user${Math.ceil(world.users.length * random())}` : 'hello'
    const { id } = await createComment(app, actor(authorId), { postId, parentId: parent?.id ?? null, body })
    comments.push({ id, authorId, postId })
    note(world, 'comment', 1)
  }
}

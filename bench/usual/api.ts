import jwt from '@fastify/jwt'
import { verify } from '@node-rs/argon2'
import { Queue } from 'bullmq'
import fastify from 'fastify'
import {
  connectRedis,
  createPool,
  endWithSignal,
  jobOptions,
  type NotificationJob,
  QUEUE,
  say,
  settings,
} from './settings.ts'

const pool = createPool()
const connection = connectRedis()
const queue = new Queue<NotificationJob>(QUEUE, { connection, defaultJobOptions: jobOptions }).on('error', say)
const server = fastify()
await server.register(jwt, { secret: settings.jwtSecret, verify: { cache: true } })

type Claims = { sub: string }
const params = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string', pattern: '^[1-9][0-9]{0,18}$' } },
}
const withId = { schema: { params }, onRequest: (request: { jwtVerify(): Promise<unknown> }) => request.jwtVerify() }
const signedIn = { onRequest: withId.onRequest }
const credentials = {
  type: 'object',
  required: ['login', 'password'],
  properties: { login: { type: 'string' }, password: { type: 'string' } },
}

/** One statement is one transaction. Only the variant with an outbox writes the outbox row. */
const outbox = settings.ownOutbox ? ', told as (insert into outbox (job) select job from event)' : ''
const likeStatement = `
  with liked as (
    insert into likes (post_id, user_id) values ($1, $2) on conflict do nothing returning post_id
  ), counted as (
    update posts set like_count = like_count + 1 where id in (select post_id from liked) returning author_id, like_count
  ), event as (
    select jsonb_build_object('type', 'post.liked', 'sourceId', 'like:' || $1::text || ':' || $2::text,
      'recipientId', author_id::text, 'actorId', $2::text, 'objectId', $1::text) as job
    from counted where author_id <> $2
  )${outbox}
  select like_count as "likeCount", (select job from event) as job from counted`
const followStatement = `
  with followed as (
    insert into follows (follower_id, followee_id) values ($2, $1) on conflict do nothing returning followee_id
  ), counted as (
    update users set follower_count = follower_count + 1 where id in (select followee_id from followed)
  ), event as (
    select jsonb_build_object('type', 'user.followed', 'sourceId', 'follow:' || $2::text || ':' || $1::text,
      'recipientId', $1::text, 'actorId', $2::text, 'objectId', $1::text) as job
    from followed
  )${outbox}
  select job from event`

server.post<{ Body: { login: string; password: string } }>(
  '/auth/signin',
  { schema: { body: credentials } },
  async ({ body }, reply) => {
    const { rows } = await pool.query('select id, password_hash from users where username = $1', [body.login])
    if (!rows[0] || !(await verify(rows[0].password_hash, body.password)))
      return reply.code(401).send({ code: 'BAD_CREDENTIALS' })
    return { accessToken: server.jwt.sign({ sub: rows[0].id }, { expiresIn: 900 }) }
  },
)

server.post<{ Params: { id: string } }>('/posts/:id/like', withId, async ({ params: { id }, user }, reply) => {
  const { rows } = await pool
    .query({ name: 'like', text: likeStatement, values: [id, (user as unknown as Claims).sub] })
    .catch((error) => (error.code === '23503' ? { rows: [null] } : Promise.reject(error)))
  if (rows[0] === null) return reply.code(404).send({ code: 'POST_NOT_FOUND' })
  if (rows[0]?.job && !settings.ownOutbox) await queue.add('notify', rows[0].job)
  const likeCount =
    rows[0]?.likeCount ?? (await pool.query('select like_count from posts where id = $1', [id])).rows[0].like_count
  return { liked: true, likeCount }
})

server.post<{ Params: { id: string } }>('/users/:id/follow', withId, async ({ params: { id }, user }, reply) => {
  const { rows } = await pool
    .query({ name: 'follow', text: followStatement, values: [id, (user as unknown as Claims).sub] })
    .catch((error) => (error.code === '23503' ? { rows: [null] } : Promise.reject(error)))
  if (rows[0] === null) return reply.code(404).send({ code: 'USER_NOT_FOUND' })
  if (rows[0]?.job && !settings.ownOutbox) await queue.add('notify', rows[0].job)
  return { following: true }
})

server.get('/notifications', signedIn, async ({ user }) => {
  const { rows } = await pool.query({
    name: 'list',
    text: `select n.*, a.username, a.display_name from notifications n join users a on a.id = n.actor_id
           where n.user_id = $1 order by n.id desc limit 20`,
    values: [(user as unknown as Claims).sub],
  })
  return { items: rows, unreadCount: await countUnread((user as unknown as Claims).sub) }
})

server.get('/notifications/unread-count', signedIn, async ({ user }) => ({
  unreadCount: await countUnread((user as unknown as Claims).sub),
}))

server.patch<{ Params: { id: string } }>('/notifications/:id/read', withId, async ({ params: { id }, user }, reply) => {
  const { rowCount } = await pool.query({
    name: 'read',
    text: 'update notifications set read_at = coalesce(read_at, now()) where id = $1 and user_id = $2',
    values: [id, (user as unknown as Claims).sub],
  })
  if (rowCount === 0) return reply.code(404).send({ code: 'NOTIFICATION_NOT_FOUND' })
  return { unreadCount: await countUnread((user as unknown as Claims).sub) }
})

async function countUnread(userId: string): Promise<number> {
  const { rows } = await pool.query({
    name: 'unread',
    text: 'select count(*)::int as unread from notifications where user_id = $1 and read_at is null',
    values: [userId],
  })
  return rows[0].unread
}

endWithSignal(async () => {
  await server.close()
  await queue.close()
  connection.disconnect()
  await pool.end()
})
console.log(`ready ${await server.listen({ port: 0, host: '127.0.0.1' })}`)

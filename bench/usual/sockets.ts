import { createServer } from 'node:http'
import jwt from '@fastify/jwt'
import { createAdapter } from '@socket.io/redis-adapter'
import { fastify } from 'fastify'
import { Server } from 'socket.io'
import { connectRedis, createPool, endWithSignal, say, settings } from './settings.ts'

const ACK_LINGER_MS = 50
const CATCH_UP_LIMIT = 1000

const pool = createPool()
const [publisher, subscriber] = [connectRedis(), connectRedis()]
const tokens = fastify()
await tokens.register(jwt, { secret: settings.jwtSecret, verify: { algorithms: ['HS256'] } })
const server = createServer()
const io = new Server(server, {
  adapter: createAdapter(publisher, subscriber),
  serveClient: false,
  transports: ['websocket'],
})

io.use((socket, next) => {
  try {
    socket.data.userId = tokens.jwt.verify<{ sub: string }>(socket.handshake.auth.token).sub
    next()
  } catch {
    next(new Error('unauthenticated'))
  }
})

/** Sends everything after `serverOffset`, as Socket.IO's tutorial advises for messages that must not be lost. */
io.on('connection', async (socket) => {
  const { userId } = socket.data
  await socket.join(`user:${userId}`)
  socket.on('ack', (id: string) => acknowledge(id))
  const { rows } = await pool.query({
    name: 'catch_up',
    text: `select n.id, n.type, n.data, n.created_at as "createdAt", a.username, a.display_name as "displayName"
           from notifications n join users a on a.id = n.actor_id where n.user_id = $1 and n.id > $2 order by n.id limit $3`,
    values: [userId, socket.handshake.auth.serverOffset ?? '0', CATCH_UP_LIMIT],
  })
  for (const row of rows) socket.emit('notification', row)
  socket.emit('synced', rows.length)
})

let acknowledged: string[] = []

/** Stores acknowledgements in bulk, as Ravenpost does. */
function acknowledge(id: string): void {
  if (acknowledged.length === 0) setTimeout(() => void storeAcknowledged(), ACK_LINGER_MS)
  acknowledged.push(id)
}

async function storeAcknowledged(): Promise<void> {
  const ids = acknowledged
  acknowledged = []
  await pool
    .query({
      name: 'delivered',
      text: 'update notifications set delivered_at = now() where id = any($1::bigint[]) and delivered_at is null',
      values: [ids],
    })
    .catch(say)
}

endWithSignal(async () => {
  await io.close()
  for (const redis of [publisher, subscriber]) redis.disconnect()
  await pool.end()
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(`ready http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`)
})

import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { type Test, test } from 'tap'
import { startServerProcess } from '../server-process.ts'
import { cloneDatabase } from '../setup.ts'

async function connection(t: Test, url: string, said: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = createConnection({ host: hostname, port: Number(port) })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  if (said) await new Promise((resolve) => socket.write(said, resolve))
  return socket
}

/** Node closes connections that are idle between two requests, but not those that have not sent a request yet. */
test('silent or slow clients do not prevent a process from stopping', async (t) => {
  const { url, child } = await startServerProcess(t, 'api', { DATABASE_URL: await cloneDatabase(t) })
  const half =
    'POST /auth/signin HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"login"'
  for (const said of ['', 'GET /healthz HTTP/1.1\r\nHost:', half]) await connection(t, url, said)
  // An answer on a later connection shows that these are accepted.
  t.equal((await fetch(`${url}/healthz`)).status, 200)
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  t.equal(code, 0, 'not cut off for being late')
})

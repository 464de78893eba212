import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MAX_OCTETS } from '../../src/notify/inbox/changes.ts'
import { closeCodes } from '../../src/protocol/close-codes.ts'
import { limits } from '../../src/push/limits.ts'
import { startPush } from '../../src/push/server.ts'
import { live } from '../../src/social/live.ts'
import { settled } from '../settled.ts'
import { eventually, setup } from '../setup.ts'

const page = await readFile(new URL('../../docs/protocol.md', import.meta.url), 'utf8')

t.test('the client in docs/protocol.md works as written', async (t) => {
  const { as, url, app, server, push, pool, ...system } = await setup(t, { worker: true, push: true, windowSeconds: 0 })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const { id } = await ana.post('hello')
  await ben.follow(ana.id)
  await settled({ ...system, pool })

  const code = page.match(/```js\n(.*?)```/s)?.[1] ?? ''
  const file = join(t.testdir({ 'client.mjs': code }), 'client.mjs')
  const client = spawn(process.execPath, [file, url, ana.accessToken])
  t.teardown(() => client.kill())
  let said = ''
  for (const stream of [client.stdout, client.stderr])
    stream.on('data', (data) => {
      said += data
    })
  const exit = once(client, 'exit')
  const says = (text: string) => eventually(() => said.trimEnd().split('\n').at(-1)?.startsWith(text))

  await says('1 unread:')
  await ben.like(id)
  await says('2 unread:')
  await eventually(async () => {
    const { rows } = await pool.query('select from notify.notifications where delivered_at is null')
    return rows.length === 0
  })
  await push?.close()
  await ben.comment(id, 'well said')
  await settled({ ...system, pool })
  const again = await startPush(app, server.server, live)
  t.teardown(() => again.close())
  await says('3 unread:')
  await ana.request('PATCH', '/notifications/mark-all-read')
  await says('0 unread:')
  await ana.request('POST', '/auth/signout', { refreshToken: ana.refreshToken })
  await says('closed for good: 4403')
  t.same(await exit, [0, null], said)
})

t.test('docs/protocol.md lists every close code and the current limits', async (t) => {
  for (const [code] of Object.values(closeCodes)) t.match(page, new RegExp(`^\\|[^|]*\\b${code}\\b`, 'm'), String(code))
  const {
    frameBudget,
    userFrameBudget,
    frameCost,
    socketsPerUser,
    itemsPerFrame,
    heartbeatMs,
    helloMs,
    upgradeBudget,
  } = limits
  for (const text of [
    `| frames of a socket | ${frameBudget / frameCost} in 10 s`,
    `| frames of all sockets of a user, on one node | ${userFrameBudget / frameCost} in 10 s`,
    `| sockets of a user, on one node | ${socketsPerUser} |`,
    `| ${upgradeBudget} in a minute; then 429`,
    `| ${itemsPerFrame} changes |`,
    `| words and data in it | ${MAX_OCTETS / 1024} KiB`,
    `\`heartbeatSeconds\` (${heartbeatMs / 1000})`,
    `within ${helloMs / 1000} seconds`,
  ])
    t.ok(page.includes(text), text)
})

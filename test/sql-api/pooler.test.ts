import { spawnSync } from 'node:child_process'
import pg from 'pg'
import { type Test, test } from 'tap'
import { signUp } from '../client.ts'
import { TestSocket } from '../push/socket.ts'
import { runCommandFile, startServerProcess } from '../server-process.ts'
import { cloneDatabase, eventually, setup } from '../setup.ts'
import { startPooler } from './pgbouncer.ts'

const skip = spawnSync('pgbouncer', ['--version']).status !== 0 && 'pgbouncer is not installed'

const emit = (source: string) =>
  `select notify.emit('order.shipped', array[$1::bigint], '${source}', title => '${source}') as n`

test('through a transaction pooler, rollback, commit and retraction behave the same', {
  skip,
}, async (t) => {
  const system = await setup(t, { worker: true, push: true })
  const ana = await system.as('ana')
  const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  const shop = new pg.Pool({ connectionString: await startPooler(t, system.databaseUrl), max: 8 })
  t.teardown(() => shop.end())

  const client = await shop.connect()
  await client.query('begin')
  t.match((await client.query(emit('rolled back'), [ana.id])).rows, [{ n: '1' }])
  await client.query('rollback')
  await client.query('begin; set local role ravenpost_emitter')
  t.match((await client.query(emit('committed'), [ana.id])).rows, [{ n: '1' }])
  await client.query('commit')
  client.release()
  await Promise.all(Array.from({ length: 20 }, (_, i) => shop.query(emit(`at once ${i}`), [ana.id])))
  await eventually(() => socket.upserts.length === 21)
  const titles = socket.of('changes').flatMap(({ upserts }) => upserts.map(({ title }) => title))
  t.equal(titles.filter((title) => title === 'committed').length, 1)
  t.notOk(titles.includes('rolled back'))

  const id = socket.of('changes').flatMap(({ upserts }) => upserts.filter(({ title }) => title === 'at once 7'))[0]?.id
  t.match((await shop.query(`select notify.retract(array[$1::bigint], 'at once 7') as n`, [ana.id])).rows, [{ n: '1' }])
  await eventually(() => socket.of('changes').some(({ removes }) => removes.includes(id ?? '')))

  const kept = socket.of('changes').flatMap(({ upserts }) => upserts.filter(({ title }) => title === 'committed'))[0]
  const read = async (call: string) => (await shop.query(`select * from notify.${call}`)).rows
  t.match(await read(`explain(${ana.id}, 'order.shipped', 'inApp')`), [{ decision: 'allow' }])
  t.ok((await read(`why(${ana.id}, ${kept?.id})`)).length > 0)
  t.ok((await read(`timeline(${ana.id})`)).length >= 21)
})

test('the roles work through a transaction pooler with DATABASE_URL_DIRECT', { skip }, async (t) => {
  const databaseUrl = await cloneDatabase(t, { windowSeconds: 0 })
  const env = { DATABASE_URL: await startPooler(t, databaseUrl), DATABASE_URL_DIRECT: databaseUrl }
  const all = await startServerProcess(t, 'all', env)
  await goesThrough(t, all.url, all.url)
  t.match(await runCommandFile(env.DATABASE_URL, 'advise'), { status: 0, out: /^DATABASE_URL_DIRECT: not set/m })
  const direct = await runCommandFile(databaseUrl, 'advise')
  t.match(direct, { status: 0 })
  t.notMatch(direct.out, /DATABASE_URL_DIRECT/)
})

/** User actions and their results, by REST and on the socket. */
async function goesThrough(t: Test, url: string, socketUrl: string): Promise<void> {
  const [ana, ben] = await Promise.all([signUp(url, 'ana'), signUp(url, 'ben')])
  const socket = await TestSocket.open(t, `${socketUrl.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  const posts = await Promise.all(Array.from({ length: 10 }, (_, i) => ana.post(`Post ${i}`)))
  await Promise.all(posts.map(({ id }) => ben.like(id)))
  await Promise.all(posts.map(({ id }) => ben.comment(id, 'Well said, @ana')))
  await ben.follow(ana.id)
  await eventually(() => socket.upserts.length >= 21)
  for (const path of [
    '/posts',
    '/posts?scope=following',
    '/notifications',
    '/users/search?q=a',
    '/notifications/stats',
  ])
    t.equal((await ben.request('GET', path)).status, 200, path)
  const { items, state } = await ana.get('/notifications?limit=100')
  t.equal(items.length, 21)
  t.match(await ana.request('PATCH', '/notifications/mark-all-read', { upTo: state }), {
    status: 200,
    body: { updated: 21, unreadCount: 0 },
  })
  await ana.request('DELETE', `/posts/${posts[0]?.id}`)
  await eventually(async () => (await ana.get('/notifications?limit=100')).items.length === 19)
}

import specs from '@asyncapi/specs'
import { Ajv } from 'ajv'
import { default as addFormats } from 'ajv-formats'
import t from 'tap'
import { clientFrames, parseFrame } from '../../src/protocol/frames.ts'
import { call } from '../client.ts'
import { settled } from '../settled.ts'
import { setup } from '../setup.ts'
import { TestSocket } from './socket.ts'

t.test('/asyncapi.json is valid AsyncAPI 3 and public', async (t) => {
  const { url } = await setup(t)
  const { status, body } = await call(url, 'GET', '/asyncapi.json')
  t.equal(status, 200)
  const ajv = new Ajv({ strict: false, validateFormats: false })
  const valid = ajv.compile(specs.schemasWithoutId['3.0.0'])
  t.ok(valid(body), ajv.errorsText(valid.errors))
  t.notOk(valid({ ...body, channels: { socket: { adress: '/ws' } } }), 'it finds a wrong word')
  for (const { $ref } of [...body.operations.fromClient.messages, ...body.operations.fromServer.messages]) {
    const [, , , , name = ''] = $ref.split('/')
    t.equal(body.channels.socket.messages[name].$ref, `#/components/messages/${name}`)
    t.ok(body.components.messages[name]?.summary, name)
  }
})

t.test('the frames of the AsyncAPI document are the ones that are sent and accepted', async (t) => {
  const system = await setup(t, { worker: true, push: true })
  const { url, as } = system
  const { messages, schemas } = (await call(url, 'GET', '/asyncapi.json')).body.components
  for (const name of Object.keys(clientFrames))
    t.equal(parseFrame(JSON.stringify(messages[name].examples[0].payload)).type, name, `the example of ${name}`)

  const [ana, ben] = [await as('ana'), await as('ben')]
  const { id } = await ana.post('Hello')
  const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken, since: 'none.1' })
  await socket.next('reset')
  await ben.like(id)
  await settled(system)
  const { to } = await socket.next('changes')
  for (const frame of [
    { type: 'watch', posts: [id], comments: id, feed: 'all' },
    { type: 'readAll', upTo: to, ref: '1' },
    { type: 'ping' },
    { type: 'none' },
  ])
    socket.send(frame)
  for (const type of ['counts', 'ok', 'pong', 'error'] as const) await socket.next(type)
  await ben.comment(id, 'well said, @ana')
  await ben.post('another')
  for (const type of ['comments', 'feed'] as const) await socket.next(type)
  const other = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  other.send({ type: 'hello', token: ana.accessToken })
  await other.next('synced')

  const ajv = new Ajv({ strict: false })
  addFormats.default(ajv)
  const seen = new Set<string>()
  for (const frame of [...socket.frames, ...other.frames]) {
    seen.add(frame.type)
    const exact = { ...messages[frame.type].payload, additionalProperties: false, components: { schemas } }
    t.ok(ajv.validate(exact, frame), `${frame.type}: ${ajv.errorsText()}`)
  }
  const rest = (await call(url, 'GET', '/openapi.json')).body.components.schemas
  t.same(schemas.Notification, rest.Notification, 'a notification has the same form on the socket as over REST')
  t.same([...seen].sort(), [
    'changes',
    'comments',
    'counts',
    'error',
    'feed',
    'ok',
    'pong',
    'reset',
    'synced',
    'welcome',
  ])
})

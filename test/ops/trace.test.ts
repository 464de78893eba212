import { Writable } from 'node:stream'
import { pino } from 'pino'
import { test } from 'tap'
import { TestSocket } from '../push/socket.ts'
import { eventually, setup } from '../setup.ts'

test('one request id connects the log lines of request, event and frame', async (t) => {
  const lines: Record<string, unknown>[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const { url, as } = await setup(t, { worker: true, push: true, log: pino({ level: 'debug' }, stream) })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')

  const { id } = await ana.post('Hello')
  const answer = await ben.request('POST', `/posts/${id}/like`, undefined, { 'x-request-id': 'trace-me' })
  t.equal(answer.headers.get('x-request-id'), 'trace-me')
  await socket.next('changes')

  const about = () => lines.filter((line) => JSON.stringify(line).includes('trace-me'))
  await eventually(() => about().length === 4)
  const messages = about().map(({ msg }) => msg)
  t.same(messages.sort(), ['answered', 'read an event', 'read an event', 'sent changes'])
  const byMessage = (msg: string) => about().filter((line) => line.msg === msg)
  t.match(byMessage('answered'), [{ requestId: 'trace-me', method: 'POST', path: `/posts/${id}/like`, status: 200 }])
  t.match(new Set(byMessage('read an event').map(({ consumer }) => consumer)), new Set(['counters', 'notifications']))
  t.match(byMessage('read an event')[0], { requestId: 'trace-me', sourceId: `like:${id}:${ben.id}` })
  t.match(byMessage('sent changes'), [{ requestIds: ['trace-me'], userId: ana.id }])

  const log = JSON.stringify(lines)
  for (const secret of [ana.accessToken, ana.refreshToken, 'correct horse']) t.notOk(log.includes(secret))
})

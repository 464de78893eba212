import { pino } from 'pino'
import { test } from 'tap'
import { collapseRepeats } from '../../src/base/repeated-errors.ts'
import { startServerProcess } from '../server-process.ts'
import { cloneDatabase, eventually } from '../setup.ts'

test('a repeated error is logged at intervals, with the number of repetitions', async (t) => {
  const lines: Record<string, unknown>[] = []
  const log = pino(
    { hooks: { logMethod: collapseRepeats(100) } },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  )
  const fails = () => log.warn({ err: new Error('connect ECONNREFUSED') }, 'the poll failed')
  for (let n = 0; n < 50; n += 1) fails()
  t.match(lines, [{ err: { stack: /ECONNREFUSED/ }, msg: 'the poll failed' }])
  t.equal(lines.length, 1)
  log.warn({ err: new Error('another') }, 'the poll failed')
  log.warn({ err: new Error('connect ECONNREFUSED') }, 'the sweep failed')
  log.info({ lanes: 3 }, 'no error')
  log.info('no error')
  t.equal(lines.length, 5, 'other errors and other lines are not held back')

  await eventually(() => {
    fails()
    return lines.length > 5
  })
  t.match(lines[5], { msg: 'the poll failed', err: { message: 'connect ECONNREFUSED' } })
  t.ok(Number(lines[5]?.repeated) >= 49)
})

test('a request that fails like earlier ones keeps its log line but loses the stack', async (t) => {
  const lines: Record<string, unknown>[] = []
  const log = pino(
    { hooks: { logMethod: collapseRepeats(60_000) } },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  )
  for (const requestId of ['a', 'b']) log.child({ requestId }).error({ err: new Error('gone') }, 'BUSY')
  t.match(lines, [
    { requestId: 'a', err: { stack: String } },
    { requestId: 'b', error: 'gone', err: undefined },
  ])
})

test('without a terminal, every line on stdout is JSON, including the welcome', async (t) => {
  const { child, url } = await startServerProcess(t, 'api', { DATABASE_URL: await cloneDatabase(t), LOG_LEVEL: 'info' })
  let printed = ''
  child.stdout?.on('data', (text) => {
    printed += text
  })
  await (await fetch(`${url}/nothing`)).text()
  const lines = await eventually(() => printed.includes('answered') && printed.trim().split('\n'))
  for (const line of lines) t.match(JSON.parse(line), { level: Number, time: Number, msg: String })
})

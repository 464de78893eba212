import { Writable } from 'node:stream'
import { pino } from 'pino'
import { test } from 'tap'
import { setup } from '../setup.ts'
import { runStory } from './story.ts'

test('at the most verbose level, the log contains no secret and no user text', async (t) => {
  const lines: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const system = await setup(t, { worker: true, push: true, log: pino({ level: 'trace' }, stream) })
  const secrets = await runStory(t, system)

  t.ok(lines.length > 50, `${lines.length} lines`)
  for (const [name, secret] of Object.entries(secrets)) {
    t.ok(secret.length >= 8, `${name} was said`)
    t.same(
      lines.filter((line) => line.includes(secret)),
      [],
      name,
    )
  }
})

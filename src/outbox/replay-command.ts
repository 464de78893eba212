import { pino } from 'pino'
import { readConfig } from '../config.ts'
import { createPool } from '../db/pool.ts'

/** `npm run dead-letters:replay -- <id>…|all`: tries dead letters again from their first attempt. */
const ids = process.argv.slice(2)
if (ids.length === 0 || (ids[0] !== 'all' && !ids.every((id) => /^\d+$/.test(id)))) {
  console.error(
    'usage: npm run dead-letters:replay -- <id>... | all     (ids: select id, last_error from ops.dead_letters)',
  )
  process.exit(2)
}
const config = readConfig(process.env)
if (config.embedded) {
  console.error('DATABASE_URL is missing: the embedded server prints its address at npm start')
  process.exit(2)
}
const pool = createPool({ url: config.databaseUrl, size: 1, log: pino({ level: config.logLevel }), name: 'command' })
const { rows } = await pool.query<{ id: string; replayed: boolean | null }>(
  `select id, notify.replay_dead_letter(id) as replayed from ops.dead_letters where $1::bigint[] is null or id = any($1)`,
  [ids[0] === 'all' ? null : ids],
)
await pool.end()
const replayed = rows.filter((row) => row.replayed).map((row) => row.id)
const unknown = ids[0] === 'all' ? [] : ids.filter((id) => !replayed.includes(id))
console.log(`tried again: ${replayed.join(', ') || 'none'}`)
if (unknown.length > 0) {
  console.error(`not a dead letter: ${unknown.join(', ')}`)
  process.exit(1)
}

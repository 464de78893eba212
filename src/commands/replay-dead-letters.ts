import pg from 'pg'
import { runCommand } from '../base/process/command.ts'
import { StartError } from '../base/process/start-error.ts'
import { databaseUrlOf } from '../db/embedded/running-embedded.ts'

/** `npm run dead-letters:replay -- <id>…|all`: retries dead letters from their first attempt. */
await runCommand(async (config, ids) => {
  const all = ids[0] === 'all'
  if (ids.length === 0 || !(all || ids.every((id) => /^\d+$/.test(id))))
    throw new StartError(
      'Usage: npm run dead-letters:replay -- <id>... | all   (select id, last_error from ops.dead_letters)',
    )
  const pool = new pg.Pool({ connectionString: await databaseUrlOf(config), max: 1 })
  const { rows } = await pool.query<{ id: string; replayed: boolean | null }>(
    `select id, notify.replay_dead_letter(id) as replayed from ops.dead_letters where $1::bigint[] is null or id = any($1)`,
    [all ? null : ids],
  )
  await pool.end()
  const replayed = rows.filter((row) => row.replayed).map((row) => row.id)
  const unknown = all ? [] : ids.filter((id) => !replayed.includes(id))
  process.stdout.write(`tried again: ${replayed.join(', ') || 'none'}\n`)
  if (unknown.length > 0) throw new StartError(`not a dead letter: ${unknown.join(', ')}`)
})

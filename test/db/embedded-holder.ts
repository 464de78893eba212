import { pino } from 'pino'
import { startEmbedded } from '../../src/db/embedded/embedded.ts'

/** A process of its own that holds an embedded server until its standard input ends, or until it is killed. */
const { url, firstStart, stop } = await startEmbedded(
  process.argv[2] ?? '',
  pino({ level: 'silent' }),
  Number(process.argv[3]) || undefined,
)
process.stdout.write(`${JSON.stringify({ url, firstStart })}\n`)
process.stdin.on('end', stop).resume()

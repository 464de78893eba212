import { pino } from 'pino'
import { createPool } from '../../src/db/pool.ts'

/** Waits in a statement until it is killed. */
const pool = createPool({ url: process.argv[2] ?? '', size: 1, log: pino({ level: 'silent' }), name: 'killed' })
await pool.query('select pg_sleep(25)')

import pg from 'pg'
import { runCommand } from '../base/process/command.ts'
import { StartError } from '../base/process/start-error.ts'
import type { Config } from '../config.ts'
import { withClient } from '../db/client.ts'
import { databaseUrlOf } from '../db/embedded/running-embedded.ts'
import { memoryOfMachine } from '../db/embedded/settings.ts'

type Advice = { setting: string; value: string; advised: string; reason: string; statement: string }

const USAGE = 'Usage: npm run advise [-- --memory 16GB]   (memory of the machine that PostgreSQL runs on)'

/**
 * `npm run advise -- --memory 16GB`: which settings of this database's server cost Ravenpost something, and the statements that
 * change them. Reads only; any role that may read the schema `ops` can run it.
 */
await runCommand(async (config, args) => {
  const memory = memoryOf(args, config)
  const url = await databaseUrlOf(config)
  const found = [...(await adviceOf(url, memory)), ...(await adviceOnPooler(config))]
  const print = (line: string) => void process.stdout.write(`${line}\n`)
  for (const { setting, value, advised, reason, statement } of found)
    print(`${setting}: ${value}, better ${advised}\n  Because ${reason}.\n  ${statement}\n`)
  print(found.length === 0 ? 'No setting of this server costs Ravenpost anything.' : `${found.length} to look at.`)
  print(
    memory === null
      ? 'PostgreSQL does not know the memory of its machine. To check the sizes too: npm run advise -- --memory 16GB'
      : `The sizes are for ${memory} of memory.`,
  )
})

/** `--memory`, or the memory of this machine if the server runs here. Null: unknown. */
function memoryOf(args: string[], config: Config): string | null {
  const [name, value, ...others] = args.flatMap((argument) => argument.split('='))
  if (name === undefined)
    return config.embedded || isHere(config.databaseUrl) ? `${Math.floor(memoryOfMachine() / 1024 ** 2)}MB` : null
  if (name !== '--memory' || others.length > 0 || !/^[1-9]\d{0,5}\s?(MB|GB|TB)$/i.test(value ?? ''))
    throw new StartError(USAGE)
  return value ?? null
}

function isHere(url: string): boolean {
  const { host } = new pg.Client({ connectionString: url })
  return ['localhost', '127.0.0.1', '::1'].includes(host) || host.startsWith('/')
}

async function adviceOf(url: string, memory: string | null): Promise<Advice[]> {
  try {
    return await withClient(
      url,
      async (client) => (await client.query<Advice>('select * from ops.advice($1)', [memory])).rows,
    )
  } catch (error) {
    const code = error instanceof pg.DatabaseError ? error.code : undefined
    if (code === '42883' || code === '3F000')
      throw new StartError('The database lacks the function ops.advice: run npm run migrate first')
    if (code === '42501') throw new StartError('This role may not read the schema ops: grant ravenpost_readonly to it')
    throw error
  }
}

/**
 * A connection that changes its server process, or shares it with another one: a pooler in transaction mode is in between.
 * LISTEN, the worker and migrations do not work through it, so they need an address of their own.
 */
async function adviceOnPooler({ embedded, databaseUrl, databaseUrlDirect }: Config): Promise<Advice[]> {
  if (embedded) return []
  const shared = await withClient(databaseUrlDirect, (one) =>
    withClient(databaseUrlDirect, async (other) => {
      const [first, second] = [await processOf(one), await processOf(other)]
      // Others use the pooler too: they may have taken the shared process in between.
      for (let round = 0; round < 20 && first !== second; round += 1)
        if ((await processOf(one)) !== first || (await processOf(other)) !== second) return true
      return first === second
    }),
  )
  if (!shared) return []
  return [
    {
      setting: 'DATABASE_URL_DIRECT',
      value: databaseUrl === databaseUrlDirect ? 'not set' : 'a pooler',
      advised: 'the address of PostgreSQL itself',
      reason: 'a pooler in transaction mode loses LISTEN, so notifications wait for the next poll and sweep',
      statement: '-- environment variable DATABASE_URL_DIRECT; docs/operations.md, Connections',
    },
  ]
}

async function processOf(client: pg.ClientBase): Promise<number | undefined> {
  return (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid
}

import { spawn, spawnSync } from 'node:child_process'
import { type Test, test } from 'tap'
import { TestSocket } from '../push/socket.ts'
import { eventually, setup } from '../setup.ts'

type Example = {
  name: string
  needs: [string, ...string[]]
  run: (url: URL, recipient: string) => [string, ...string[]]
}

const examples: Example[] = [
  {
    name: 'psql',
    needs: ['psql', '--version'],
    run: (url, recipient) => [
      'psql',
      '-qAtv',
      'ON_ERROR_STOP=1',
      '-v',
      `recipient=${recipient}`,
      '-f',
      'examples/notify.sql',
      url.href,
    ],
  },
  {
    name: 'python',
    needs: ['/usr/bin/python3', '-c', 'import psycopg2'],
    run: (url, recipient) => ['/usr/bin/python3', 'examples/notify.py', url.href, recipient],
  },
  {
    name: 'perl',
    needs: ['/usr/bin/perl', '-MDBI', '-MDBD::Pg', '-e', '1'],
    run: (url, recipient) => [
      '/usr/bin/perl',
      'examples/notify.pl',
      `dbi:Pg:dbname=${url.pathname.slice(1)};host=${url.hostname};port=${url.port}`,
      url.username,
      recipient,
    ],
  },
]

for (const example of examples) {
  const [program, ...args] = example.needs
  const skip = spawnSync(program, args).status !== 0 && `${example.needs.join(' ')} does not run here`
  test(`notify.emit called from ${example.name}: a rollback sends nothing, a commit reaches the socket within 250 ms`, {
    skip,
  }, async (t) => {
    const system = await setup(t, { worker: true, push: true, env: { POLL_INTERVAL_MS: '100' } })
    const ana = await system.as('ana')
    const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
    socket.send({ type: 'hello', token: ana.accessToken })
    await socket.next('synced')
    const url = new URL(system.databaseUrl)
    await runExample(t, example.run(url, ana.id), url.password)
    await eventually(() => socket.upserts.length > 0)
    t.match(
      socket.of('changes').flatMap(({ upserts }) => upserts),
      [{ title: `Committed by ${example.name}`, type: 'order.shipped' }],
    )
    const { rows } = await system.pool.query('select source_id from notify.outbox')
    t.match(rows, [{ source_id: /^sql:.+:order:77:shipped$/ }], 'nothing of what was rolled back is there')
    t.equal(rows.length, 1)
  })
}

async function runExample(t: Test, [program, ...args]: [string, ...string[]], password: string): Promise<void> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PGPASSWORD: password },
  })
  let output = ''
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  const status = await new Promise((resolve) => child.once('close', resolve))
  t.equal(status, 0, output)
}

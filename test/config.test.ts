import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TSchema } from '@sinclair/typebox'
import { pino } from 'pino'
import { test } from 'tap'
import { parse } from 'yaml'
import { printWelcome } from '../src/base/process/welcome.ts'
import { ConfigError, readConfig, variables } from '../src/config.ts'
import { withoutSecrets } from '../src/log.ts'

const secret = 'a secret of more than thirty-two bytes'

test('without environment variables the configuration describes a small, self-contained installation', async (t) => {
  t.match(readConfig({}), {
    embedded: true,
    databaseUrl: '',
    dataDir: '.data',
    host: '127.0.0.1',
    port: 3000,
    allowedOrigins: [],
    accessTokenTtl: 900,
    refreshTokenTtl: 2_592_000,
    rateLimitScale: 1,
    wakeUps: true,
    adminPassword: undefined,
  })
})

test('values are parsed by their types', async (t) => {
  const url = 'postgres://ana:pw@db.example:5432/ravenpost'
  const config = readConfig({
    DATABASE_URL: url,
    JWT_SECRET: secret,
    PORT: '8080',
    ALLOWED_ORIGINS: 'https://a.example, https://b.example',
    WAKE_UPS: 'off',
    RATE_LIMIT_SCALE: '0.5',
  })
  t.match(config, {
    embedded: false,
    databaseUrl: url,
    databaseUrlDirect: url,
    port: 8080,
    allowedOrigins: ['https://a.example', 'https://b.example'],
    wakeUps: false,
    rateLimitScale: 0.5,
  })
})

test('an empty variable counts as absent', async (t) => {
  t.match(readConfig({ DATABASE_URL: '', PORT: '', HOST: '' }), { embedded: true, port: 3000, host: '127.0.0.1' })
})

const wrong: [name: string, value: string][] = [
  ['PORT', 'http'],
  ['PORT', '65536'],
  ['PORT', '-1'],
  ['PORT', '3000.5'],
  ['DATABASE_URL', 'mysql://localhost/x'],
  ['DATABASE_URL_DIRECT', 'localhost'],
  ['ALLOWED_ORIGINS', 'https://a.example/path'],
  ['ALLOWED_ORIGINS', '*'],
  ['LOG_LEVEL', 'loud'],
  ['ACCESS_TOKEN_TTL', '0'],
  ['REFRESH_TOKEN_TTL', 'a month'],
  ['RATE_LIMIT_SCALE', '0'],
  ['PUBLIC_URL', 'example.org'],
  ['WAKE_UPS', 'maybe'],
  ['POLL_INTERVAL_MS', '1'],
  ['POOL_SIZE', '1'],
  ['WRITE_QUEUE_SIZE', '0'],
]

for (const [name, value] of wrong)
  test(`${name}=${value} is refused with the name, the value and what was expected`, async (t) => {
    const message = messageOf({ [name]: value })
    t.ok(message.includes(name), 'the name')
    t.ok(message.includes(JSON.stringify(value)), 'the value')
    t.match(message, /: expected .+/, 'what was expected')
  })

test('secrets are masked in error messages', async (t) => {
  for (const [name, value] of [
    ['JWT_SECRET', 'too short'],
    ['JWT_SECRET_PREVIOUS', 'too short'],
    ['ADMIN_PASSWORD', 'short'],
    ['METRICS_TOKEN', 'tiny'],
  ] as const) {
    const message = messageOf({ [name]: value })
    t.ok(message.includes(name), name)
    t.notOk(message.includes(value), `${name} is not shown`)
  }
  const message = messageOf({ DATABASE_URL: 'mysql://ana:hunter2@localhost/x' })
  t.notOk(message.includes('hunter2'), 'nor is the password in a url')
})

const badUrls: [name: string, value: string, secret: string, shown: string][] = [
  ['SMTP_URL', 'smtp://ana:p#ss@mail:587', 'p#ss', 'smtp://ana:******@mail:587'],
  ['DATABASE_URL', 'postgres://ana:p#ss@db/x', 'p#ss', 'postgres://ana:******@db/x'],
  ['DATABASE_URL', 'postgres://ana:p/s@s@db/x', 'p/s', 'postgres://ana:******@db/x'],
  ['DATABASE_URL', 'postgres://ana:hunter%ff@db/x', 'hunter', 'postgres://ana:******@db/x'],
  ['DATABASE_URL', 'ana:hunter2@db/x', 'hunter2', 'ana:******@db/x'],
  ['DATABASE_URL', 'hunter2@db/x', 'hunter2', '******@db/x'],
  ['DATABASE_URL', 'postgres:/ana:hunter2@db/x', 'hunter2', 'postgres:******@db/x'],
  ['DATABASE_URL_DIRECT', 'postgres://ana:hunter2', 'hunter2', 'postgres://ana:******'],
  ['DATABASE_URL', 'host=db user=ana password=hunter2', 'hunter2', 'host=db user=ana password=******'],
  ['DATABASE_URL', "host=db password='hunter2 and 3'", 'hunter2 and 3', 'host=db password=******'],
  ['DATABASE_URL', "host=db password='it\\'s me'", 's me', 'host=db password=******'],
  ['DATABASE_URL', 'host=db password=hunter&2', '&2', 'host=db password=******'],
  ['DATABASE_URL', "host=db password='a&b://c'", 'b://c', 'host=db password=******'],
  [
    'DATABASE_URL',
    'mysql://db/x?user=ana&password=hunter2&ssl=0',
    'hunter2',
    'mysql://db/x?user=ana&password=******&ssl=0',
  ],
  ['PORT', 'postgres://ana:hunter2@db/x', 'hunter2', 'postgres://ana:******@db/x'],
  ['VAPID_PUBLIC_KEY', 'private-key-of-43-characters', 'private-key', '******'],
  ['DATABASE_URL_FILE', 'postgres://ana:hunter2@db/x', 'hunter2', 'postgres://ana:******@db/x'],
]

for (const [name, value, password, shown] of badUrls)
  test(`${name}=${shown} is refused with its name and without its secret`, async (t) => {
    const message = messageOf({ [name]: value })
    t.ok(message.includes(`${name} is ${JSON.stringify(shown)}: expected `), message)
    t.notOk(message.includes(password))
  })

test('a URL that cannot be parsed is refused, wherever it is used', async (t) => {
  t.match(messageOf({ ALLOWED_ORIGINS: 'https://a.example, https://b.example:web' }), /ALLOWED_ORIGINS is/)
  t.match(messageOf({ VAPID_SUBJECT: 'https://:80/' }), /VAPID_SUBJECT is/)
  t.match(messageOf({ PUBLIC_URL: 'https://a.example:web' }), /PUBLIC_URL is/)
  t.match(messageOf({ AUTH_JWKS_URL: 'https://[::1/jwks' }), /AUTH_JWKS_URL is/)
  const absent = 'postgres://ana:hunter2@db/x?sslmode=verify-full&sslrootcert=/absent.pem'
  t.match(messageOf({ DATABASE_URL: absent }), /DATABASE_URL is .*absent.pem/)
})

test('a URL of PostgreSQL may name a socket, no host, or a password with signs that pg accepts', async (t) => {
  const printed: string[] = []
  const log = pino({}, { write: (line: string) => printed.push(line) })
  const urls = {
    'postgres://u:secret@/db?host=/run/postgresql': 'PostgreSQL at /run/postgresql:5432/db',
    'postgres://u:secret@%2Frun%2Fpostgresql:5433/db': 'PostgreSQL at /run/postgresql:5433/db',
    'postgres:///db?host=pg.internal&user=u&password=secret': 'PostgreSQL at pg.internal:5432/db',
    'postgresql://u:secret%zz@db:5433/db': 'PostgreSQL at db:5433/db',
    'postgresql://u:secret@[::1]/db': 'PostgreSQL at [::1]:5432/db',
  }
  for (const [DATABASE_URL, shown] of Object.entries(urls)) {
    const config = readConfig({ DATABASE_URL, JWT_SECRET: secret })
    t.equal(config.databaseUrl, DATABASE_URL)
    printWelcome('all', 'http://127.0.0.1:3000', config, undefined, log)
    t.match(JSON.parse(printed.at(-1) ?? ''), { data: shown })
    t.notMatch(printed.at(-1), /secret/)
  }
})

test('the log shows neither the connection nor a URL that an error contains', async (t) => {
  const error = Object.assign(new Error('x'), { client: { password: 'hunter2' }, input: 'postgres://ana:hunter2@db' })
  t.notMatch(JSON.stringify(withoutSecrets(error)), /hunter2/)
})

test('all wrong variables are reported at once', async (t) => {
  const message = messageOf({ PORT: 'x', LOG_LEVEL: 'y', HOST: '0.0.0.0' })
  t.match(message, /PORT/)
  t.match(message, /LOG_LEVEL/)
  t.notMatch(message, /HOST/)
})

test('DATABASE_URL requires a secret', async (t) => {
  t.match(messageOf({ DATABASE_URL: 'postgres://localhost/x' }), /JWT_SECRET is missing/)
})

test('metrics need a token when other machines can connect', async (t) => {
  for (const HOST of ['0.0.0.0', '::', '192.168.1.9', 'ravenpost.internal', '127.0.0.1.example.org'])
    t.match(messageOf({ HOST }), /METRICS_TOKEN is missing: with HOST/, HOST)
  for (const HOST of ['127.0.0.1', '127.1.2.3', 'localhost', '::1']) t.equal(readConfig({ HOST }).host, HOST)
  t.equal(readConfig({ HOST: '0.0.0.0', METRICS_TOKEN: 'sixteen or longer' }).host, '0.0.0.0')
})

test('an identity provider needs all its variables and exactly one kind of key', async (t) => {
  const url = 'https://login.example.org/jwks'
  const names = { AUTH_ISSUER: 'https://login.example.org/', AUTH_AUDIENCE: 'notifications' }
  t.equal(readConfig({}).identityProvider, null)
  t.same(readConfig({ ...names, AUTH_JWKS_URL: url }).identityProvider, {
    issuer: names.AUTH_ISSUER,
    audience: 'notifications',
    provision: true,
    jwksUrl: url,
  })
  t.match(readConfig({ ...names, AUTH_JWKS_URL: url, AUTH_PROVISION: 'off' }).identityProvider, { provision: false })
  const pem = (type: 'rsa' | 'ec' | 'ed25519', options = {}) => {
    const { publicKey, privateKey } = generateKeyPairSync(type as 'rsa', options as { modulusLength: number })
    return {
      ours: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      secret: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }
  }
  const rsa = pem('rsa', { modulusLength: 2048 })
  const keys: [string, string][] = [
    [rsa.ours, 'RS256'],
    [rsa.ours.replaceAll('\n', '\\n'), 'RS256'],
    [pem('ec', { namedCurve: 'prime256v1' }).ours, 'ES256'],
    [pem('ed25519').ours, 'EdDSA'],
  ]
  for (const [AUTH_PUBLIC_KEY, algorithm] of keys)
    t.match(readConfig({ ...names, AUTH_PUBLIC_KEY }).identityProvider, { publicKey: { algorithm } }, algorithm)

  const wrong: [Record<string, string>, RegExp][] = [
    [
      { AUTH_JWKS_URL: url },
      /AUTH_ISSUER is missing: it is needed together with AUTH_JWKS_URL\n.*AUTH_AUDIENCE is missing/,
    ],
    [names, /AUTH_JWKS_URL is missing: it, or AUTH_PUBLIC_KEY, is needed together with AUTH_ISSUER, AUTH_AUDIENCE/],
    [{ ...names, AUTH_JWKS_URL: url, AUTH_PUBLIC_KEY: rsa.ours }, /both set: expected one of them/],
    [{ ...names, AUTH_JWKS_URL: 'login.example.org' }, /AUTH_JWKS_URL is "login.example.org": expected http/],
    [{ ...names, AUTH_PROVISION: 'no', AUTH_JWKS_URL: url }, /AUTH_PROVISION is "no": expected on or off/],
    ...['x', rsa.secret, pem('rsa', { modulusLength: 1024 }).ours, pem('ec', { namedCurve: 'secp256k1' }).ours].map(
      (AUTH_PUBLIC_KEY): [Record<string, string>, RegExp] => [
        { ...names, AUTH_PUBLIC_KEY },
        /AUTH_PUBLIC_KEY cannot be used: expected a public key as PEM: RSA of 2048 bits or more/,
      ],
    ),
  ]
  for (const [env, message] of wrong) {
    t.match(messageOf(env), message)
    t.notMatch(messageOf(env), /PRIVATE KEY/)
  }
})

test('NAME_FILE names a file that contains the value of NAME', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ravenpost-config-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const [file, empty] = [join(folder, 'secret'), join(folder, 'empty')]
  await writeFile(file, `${secret}\n`)
  await writeFile(empty, '\n')
  t.equal(readConfig({ JWT_SECRET_FILE: file }).jwtSecret, secret)
  t.equal(readConfig({ JWT_SECRET: 'x'.repeat(32), JWT_SECRET_FILE: file }).jwtSecret, secret, 'and is preferred')
  t.equal(readConfig({ JWT_SECRET: secret, JWT_SECRET_FILE: empty }).jwtSecret, secret, 'unless it is empty')
  const missing = join(folder, 'missing')
  t.match(
    messageOf({ JWT_SECRET_FILE: missing }),
    `JWT_SECRET_FILE is ${JSON.stringify(missing)}: expected a file that this user can read`,
  )
  for (const name of ['JWT_SECRET', 'METRICS_TOKEN', 'ADMIN_PASSWORD', 'VAPID_PRIVATE_KEY'])
    for (const value of [secret, `/${secret}`, `./${secret}/x`])
      t.match(messageOf({ [`${name}_FILE`]: value }), `${name}_FILE is "******": expected a file`)
  await writeFile(file, 'mysql://ana:hunter2@localhost/x')
  const message = messageOf({ DATABASE_URL_FILE: file })
  t.match(message, 'DATABASE_URL is "mysql://ana:******@localhost/x"', 'what the file holds is shown, masked')
})

test('docker-compose.yml passes every variable, and every secret also as a file', async (t) => {
  const { services, secrets } = await compose()
  // The image's own: every address and port 3000 of the container, no embedded PostgreSQL, and a web app that is built.
  const ofTheImage = ['HOST', 'PORT', 'DATA_DIR', 'NODE_ENV']
  const names = Object.keys(variables).filter((name) => !ofTheImage.includes(name))
  const secretNames = Object.entries<TSchema>(variables)
    .filter(([, { secret, expected }]) => secret || expected.includes('password@'))
    .map(([name]) => name)
  t.ok(secretNames.length >= 8, `${secretNames}`)
  for (const service of ['migrate', 'api', 'worker', 'push', 'single']) {
    const { environment, secrets: mounted } = services[service]
    t.same(
      names.filter((name) => !String(environment[name]).startsWith(`\${${name}:-`)),
      [],
      `${service}: all of them`,
    )
    for (const name of secretNames) {
      const file = name.toLowerCase()
      t.equal(environment[`${name}_FILE`], `/run/secrets/${file}`, `${service}: ${name}_FILE`)
      t.ok(mounted.includes(file), `${service}: ${file} is mounted`)
      t.same(secrets[file], { file: `\${${name}_FILE:-/dev/null}` })
    }
  }
})

test('in docker-compose.yml only the migration connects as the owner of the database', async (t) => {
  const { services } = await compose()
  for (const service of ['api', 'worker', 'push', 'single'])
    t.match(services[service].environment.DATABASE_URL, /\/\/ravenpost_app:\$\{APP_PASSWORD:-/, service)
  t.match(services.migrate.environment.DATABASE_URL, /\/\/ravenpost:\$\{POSTGRES_PASSWORD:-/)
  t.match(services.postgres.environment.APP_PASSWORD, /^\$\{APP_PASSWORD:-/)
})

test('docker-compose.yml publishes ports on this machine only, and gives containers minimal rights', async (t) => {
  const { services } = await compose()
  for (const [name, service] of Object.entries<Service>(services)) {
    for (const port of service.ports ?? []) t.match(port, /^\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}:/, `${name}: ${port}`)
    t.match(service, { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }, name)
    if (name !== 'postgres') t.match(service, { user: 'node', cap_add: undefined }, name)
  }
})

type Service = { ports?: string[] }

async function compose() {
  return parse(await readFile(join(import.meta.dirname, '..', 'docker-compose.yml'), 'utf8'), { merge: true })
}

function messageOf(env: Record<string, string>): string {
  try {
    readConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('it was not refused')
}

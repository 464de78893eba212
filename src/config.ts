import { existsSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import pg from 'pg'
import { type PublicKey, readPublicKey } from './base/public-key.ts'
import { messageOf } from './errors.ts'

const SECONDS_PER_DAY = 86_400
/** Maximum of ACCESS_TOKEN_TTL, in seconds. */
export const LONGEST_ACCESS_TOKEN = SECONDS_PER_DAY
const MIB = 1024 * 1024
const text = (expected: string, options: object = {}) => Type.String({ minLength: 1, expected, ...options })
const url = (expected: string, scheme: string, isReadable: (value: string) => boolean = isUrl) =>
  text(expected, { pattern: `^(${scheme})://\\S+$`, isReadable })
// Type.Integer would not do: Value.Convert would silently cut 3000.5 to 3000.
const integer = (minimum: number, maximum: number, fallback: number) =>
  Type.Number({
    multipleOf: 1,
    minimum,
    maximum,
    default: fallback,
    expected: `a whole number from ${minimum} to ${maximum}`,
  })
const postgres = url('postgres://user:password@host:port/database', 'postgres|postgresql', isReadByPg)

const pushHost = '(\\*\\.)?[\\w.-]+(:\\d{1,5})?'
const proxy = '([0-9a-fA-F.:]+(/\\d{1,3})?|loopback|linklocal|uniquelocal)'

/**
 * Every environment variable that Ravenpost reads, with its default. `expected` describes a valid value in error
 * messages.
 */
export const variables = {
  DATABASE_URL: Type.Optional(postgres),
  DATABASE_URL_DIRECT: Type.Optional(postgres),
  DATA_DIR: text('a path', { default: '.data' }),
  HOST: text('an address to listen on', { default: '127.0.0.1' }),
  PORT: integer(0, 65_535, 3000),
  JWT_SECRET: Type.Optional(text('a secret of 32 bytes or more', { minLength: 32, secret: true })),
  JWT_SECRET_PREVIOUS: Type.Optional(text('a secret of 32 bytes or more', { minLength: 32, secret: true })),
  ALLOWED_ORIGINS: Type.Optional(
    text('origins like https://example.org, separated by commas', {
      pattern: '^https?://[^/,\\s]+(\\s*,\\s*https?://[^/,\\s]+)*$',
      isReadable: (value: string) => listOf(value).every(isUrl),
    }),
  ),
  TRUSTED_PROXIES: Type.Optional(
    text('addresses, networks like 10.0.0.0/8, loopback, linklocal or uniquelocal, separated by commas', {
      pattern: `^${proxy}(\\s*,\\s*${proxy})*$`,
    }),
  ),
  AUTH_JWKS_URL: Type.Optional(url('http(s)://host/path of the JWK Set of your identity provider', 'https|http')),
  AUTH_PUBLIC_KEY: Type.Optional(text('a public key as PEM: RSA of 2048 bits or more, EC on P-256, or Ed25519')),
  AUTH_ISSUER: Type.Optional(text('the iss of the access tokens of your identity provider')),
  AUTH_AUDIENCE: Type.Optional(text('the aud of the access tokens of your identity provider')),
  AUTH_PROVISION: Type.Union([Type.Literal('on'), Type.Literal('off')], { default: 'on', expected: 'on or off' }),
  ADMIN_PASSWORD: Type.Optional(text('8 to 200 characters', { minLength: 8, maxLength: 200, secret: true })),
  LOG_LEVEL: Type.Union(
    (['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const).map((level) => Type.Literal(level)),
    { default: 'info', expected: 'fatal, error, warn, info, debug, trace or silent' },
  ),
  ACCESS_TOKEN_TTL: integer(1, LONGEST_ACCESS_TOKEN, 900),
  REFRESH_TOKEN_TTL: integer(1, 400 * SECONDS_PER_DAY, 30 * SECONDS_PER_DAY),
  RATE_LIMIT_SCALE: Type.Number({ exclusiveMinimum: 0, maximum: 1e6, default: 1, expected: 'a number above 0' }),
  METRICS_TOKEN: Type.Optional(text('16 characters or more', { minLength: 16, secret: true })),
  PUBLIC_URL: Type.Optional(url('http(s)://host', 'http|https')),
  SMTP_URL: Type.Optional(url('smtp(s)://user:password@host:port', 'smtp|smtps')),
  MAIL_FROM: Type.Optional(
    text('an address, like Ravenpost <news@example.org>', { pattern: '^[^@\\r\\n]+@[^@\\s]+$' }),
  ),
  // Masked, because it may be the private key by mistake.
  VAPID_PUBLIC_KEY: Type.Optional(
    text('the public key of npm run vapid-keys', { pattern: '^[\\w-]{87}$', masked: true }),
  ),
  VAPID_PRIVATE_KEY: Type.Optional(
    text('the private key of npm run vapid-keys', { pattern: '^[\\w-]{43}$', secret: true }),
  ),
  VAPID_SUBJECT: Type.Optional(
    text('mailto:address or https://page', { pattern: '^(mailto:\\S+@|https://)\\S+$', isReadable: isUrl }),
  ),
  PUSH_HOSTS: Type.Optional(
    text('hosts like push.example.org, *.example.org or push.example.org:8443, separated by commas', {
      pattern: `^${pushHost}(\\s*,\\s*${pushHost})*$`,
    }),
  ),
  BASE_PATH: Type.Optional(text('a path like /api', { pattern: '^(/[A-Za-z0-9._~-]+)+$' })),
  COOKIE_SAME_SITE: Type.Union([Type.Literal('strict'), Type.Literal('lax'), Type.Literal('none')], {
    default: 'strict',
    expected: 'strict, lax or none',
  }),
  WEBHOOK_HOSTS: Type.Optional(
    text('hosts like app.internal, *.internal or 10.0.0.5:8080, separated by commas', {
      pattern: `^${pushHost}(\\s*,\\s*${pushHost})*$`,
    }),
  ),
  DOCS: Type.Union([Type.Literal('on'), Type.Literal('off')], { default: 'on', expected: 'on or off' }),
  WEB: Type.Union([Type.Literal('on'), Type.Literal('off')], { default: 'on', expected: 'on or off' }),
  DEMO: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')], { expected: 'true or false' })),
  NODE_ENV: Type.Optional(text('production, or anything else')),
  POLL_INTERVAL_MS: integer(10, 60_000, 100),
  WAKE_UPS: Type.Union([Type.Literal('on'), Type.Literal('off')], { default: 'on', expected: 'on or off' }),
  SWEEP_INTERVAL_MS: integer(50, 60_000, 5000),
  WORKER_CONCURRENCY: integer(1, 100, 8),
  POOL_SIZE: integer(2, 500, 20),
  WRITE_QUEUE_SIZE: integer(1, 1_000_000, 10_000),
  MEDIA_MAX_MIB: integer(1, 1024, 50),
  MEDIA_QUOTA_MIB: integer(1, 1_000_000, 1024),
  MEDIA_TOTAL_MIB: integer(1, 1_000_000_000, 10_240),
  OUTBOX_RETENTION_DAYS: integer(1, 365, 7),
  DELIVERY_LOG_RETENTION_DAYS: integer(1, 3650, 30),
  AUDIT_RETENTION_MONTHS: integer(1, 1200, 24),
  JOURNAL_RETENTION_DAYS: integer(1, 3650, 30),
}

const Environment = Type.Object(variables)

/** `provision`: a user is created when the first token arrives. */
type IdentityProviderConfig = { issuer: string; audience: string; provision: boolean } & (
  | { jwksUrl: string }
  | { publicKey: PublicKey }
)

export type Config = {
  /** URL of the database; empty until the embedded server has started. */
  databaseUrl: string
  databaseUrlDirect: string
  embedded: boolean
  dataDir: string
  host: string
  port: number
  jwtSecret: string
  /** The former secret: tokens signed with it are accepted too while secrets are changed. */
  jwtSecretPrevious: string | undefined
  /** Identity provider whose access tokens are accepted besides our own; null: none. */
  identityProvider: IdentityProviderConfig | null
  allowedOrigins: string[]
  /** Proxies whose `X-Forwarded-For` header is trusted: addresses, networks, or names of ranges. */
  trustedProxies: string[]
  adminPassword: string | undefined
  logLevel: Static<typeof Environment>['LOG_LEVEL']
  /** Seconds. */
  accessTokenTtl: number
  /** Seconds. */
  refreshTokenTtl: number
  rateLimitScale: number
  /** Token that `GET /metrics` requires. Always set when other machines can reach the server. */
  metricsToken: string | undefined
  publicUrl: string | undefined
  /** Path below which every call also works, such as `/api`; empty by default. */
  basePath: string
  /** SameSite of the refresh cookie. */
  cookieSameSite: 'strict' | 'lax' | 'none'
  /** How to send mails. Null: no mail is sent. */
  smtp: { url: string; from: string } | null
  /** Keys of Web Push. Null: none is sent. */
  vapid: { publicKey: string; privateKey: string; subject: string } | null
  /** Additional hosts of push services: `host`, `*.host`, `host:port`. */
  pushHosts: string[]
  /** Hosts that webhooks may also reach by http and in a private network: `host`, `*.host`, `host:port`. */
  webhookHosts: string[]
  /** True if the server has /docs, /openapi.json and /asyncapi.json. */
  docs: boolean
  /** Whether `/` serves the web app. */
  web: boolean
  /** Whether a missing or stale web app is built at the start. */
  webBuild: boolean
  /** Whether the routes that simulate users exist. */
  demo: boolean
  pollIntervalMs: number
  wakeUps: boolean
  sweepIntervalMs: number
  workerConcurrency: number
  poolSize: number
  /** Maximum number of likes and unlikes that wait or run; the same again for follows and unfollows. */
  writeQueueSize: number
  /** Maximum size of one file, in bytes. */
  mediaMaxSize: number
  /** Maximum size of all files of one user, in bytes. */
  mediaQuota: number
  /** Maximum size of all files of all users, in bytes. */
  mediaTotal: number
  outboxRetentionDays: number
  deliveryLogRetentionDays: number
  auditRetentionMonths: number
  journalRetentionDays: number
}

/** All errors of the environment in one message, with secrets masked. */
export class ConfigError extends Error {}

/**
 * Reads the environment; no other code does. An empty variable counts as absent. `NAME_FILE` names a file with the
 * value, and has precedence over `NAME` unless the file is empty.
 * @throws {ConfigError} naming each wrong variable, its value and what is expected
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const found = readVariables(env)
  const given = Value.Default(Environment, Value.Convert(Environment, { ...found }))
  const problems = [...Value.Errors(Environment, given)].map(({ path }) => path.split('/')[1] ?? '')
  const unreadable = Object.keys(found).filter((name) => schemaOf(name)?.isReadable?.(found[name]) === false)
  const messages = [...new Set([...problems, ...unreadable])].map((name) => describe(name, found[name] ?? ''))
  const checked = messages.length === 0 && Value.Check(Environment, given) ? given : undefined
  if (checked?.DATABASE_URL && !checked.JWT_SECRET)
    messages.push('JWT_SECRET is missing: with DATABASE_URL it is required, 32 bytes or more')
  if (checked && !isLoopback(checked.HOST) && !checked.METRICS_TOKEN)
    messages.push(
      `METRICS_TOKEN is missing: with HOST=${checked.HOST}, which others can reach, it is required, 16 characters or more`,
    )
  if (checked) messages.push(...missingTogether(checked), ...wrongProvider(checked))
  if (!checked || messages.length > 0) throw new ConfigError(`The configuration is wrong:\n  ${messages.join('\n  ')}`)
  return toConfig(checked)
}

/** True if mails are written: sent by SMTP, or printed by an embedded server. */
export function writesMail({ smtp, embedded }: Pick<Config, 'smtp' | 'embedded'>): boolean {
  return smtp !== null || embedded
}

/** True if only programs on this machine can connect to the server. */
function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host)
}

/** Groups of variables that only work together: either all or none must be set. */
const TOGETHER = [
  ['SMTP_URL', 'MAIL_FROM', 'PUBLIC_URL'],
  ['VAPID_PUBLIC_KEY', 'VAPID_PRIVATE_KEY', 'VAPID_SUBJECT'],
] as const

function missingTogether(env: Static<typeof Environment>): string[] {
  return TOGETHER.flatMap(([first, ...others]) => {
    const names = first === 'SMTP_URL' && env[first] === undefined ? [] : [first, ...others]
    if (names.every((name) => env[name] === undefined)) return []
    const missing = names.filter((name) => env[name] === undefined)
    return missing.map(
      (name) => `${name} is missing: it is needed together with ${names.filter((n) => n !== name).join(', ')}`,
    )
  })
}

function wrongProvider(env: Static<typeof Environment>): string[] {
  const { AUTH_JWKS_URL: url, AUTH_PUBLIC_KEY: key, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience } = env
  if ((url ?? key ?? issuer ?? audience) === undefined) return []
  const messages: string[] = []
  if (url !== undefined && key !== undefined)
    messages.push('AUTH_JWKS_URL and AUTH_PUBLIC_KEY are both set: expected one of them')
  if (url === undefined && key === undefined)
    messages.push(
      'AUTH_JWKS_URL is missing: it, or AUTH_PUBLIC_KEY, is needed together with AUTH_ISSUER, AUTH_AUDIENCE',
    )
  for (const [name, value] of Object.entries({ AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience }))
    if (value === undefined)
      messages.push(`${name} is missing: it is needed together with ${url ? 'AUTH_JWKS_URL' : 'AUTH_PUBLIC_KEY'}`)
  // Does not show the value, because it may be a private key.
  if (key !== undefined && !readPublicKey(key))
    messages.push(`AUTH_PUBLIC_KEY cannot be used: expected ${variables.AUTH_PUBLIC_KEY.expected}`)
  return messages
}

function identityProviderOf(env: Static<typeof Environment>): Config['identityProvider'] {
  const { AUTH_JWKS_URL: jwksUrl, AUTH_PUBLIC_KEY: pem, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience } = env
  if (issuer === undefined || audience === undefined) return null
  const settings = { issuer, audience, provision: env.AUTH_PROVISION === 'on' }
  if (jwksUrl !== undefined) return { ...settings, jwksUrl }
  const publicKey = pem === undefined ? undefined : readPublicKey(pem)
  return publicKey ? { ...settings, publicKey } : null
}

function vapidOf(env: Static<typeof Environment>): Config['vapid'] {
  const { VAPID_PUBLIC_KEY: publicKey, VAPID_PRIVATE_KEY: privateKey, VAPID_SUBJECT: subject } = env
  return publicKey && privateKey && subject ? { publicKey, privateKey, subject } : null
}

function readVariables(env: NodeJS.ProcessEnv): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of Object.keys(variables)) {
    const value = readFile(name, env) || env[name]
    if (value) found[name] = value
  }
  return found
}

/** The content of the file that NAME_FILE names, without white space at the end. */
function readFile(name: string, env: NodeJS.ProcessEnv): string {
  const variable = `${name}_FILE`
  const path = env[variable]
  if (!path) return ''
  try {
    return readFileSync(path, 'utf8').trimEnd()
  } catch (cause) {
    // The secret itself may have been given in place of a path, and may begin with /.
    const folder = dirname(path)
    const shown = /[^./]/.test(folder) && existsSync(folder) ? maskPassword(path) : shownOf(name, path)
    throw new ConfigError(
      `The configuration is wrong:\n  ${variable} is ${JSON.stringify(shown)}: expected a file that this user can read (${messageOf(cause).split(',')[0]})`,
      { cause },
    )
  }
}

function describe(name: string, value: string): string {
  return `${name} is ${JSON.stringify(shownOf(name, value))}: expected ${schemaOf(name)?.expected}`
}

/** The value as it may appear in messages. */
function shownOf(name: string, value: string): string {
  const schema = schemaOf(name)
  return schema?.secret || schema?.masked ? '******' : maskPassword(value)
}

function schemaOf(name: string): TSchema | undefined {
  return Environment.properties[name as keyof typeof variables]
}

/**
 * Also masks passwords that contain `@` or `/`, that follow a user without a scheme, are in the place of a port, or
 * in a parameter. The name of the user remains.
 */
function maskPassword(value: string): string {
  // Values of a URL's parameters end with &. Others may be quoted and contain anything.
  const parameters = /^\s*[\w+.-]+:\/\//.test(value) ? /(password\s*=)[^&]*/gi : /(password\s*=).*/gis
  const masked = value.replace(parameters, '$1******')
  const parts = /^((?:[\w+.-]+:\/\/)?(?:[^:@/]*:)?).*(@.*)$/s.exec(masked)
  if (parts) return `${parts[1]}******${parts[2]}`
  return masked.replace(/^(\w+:\/\/[^:/]*:)(?!\d+([/?]|$)).+/s, '$1******')
}

function isUrl(value: string): boolean {
  if (!URL.canParse(value)) return false
  const { username, password } = new URL(value)
  return isDecodable(username) && isDecodable(password)
}

/** True if pg, which also accepts URLs without a host, reads the URL and the certificates that it names. */
function isReadByPg(connectionString: string): boolean {
  try {
    return new pg.Client({ connectionString }).host !== ''
  } catch {
    return false
  }
}

function isDecodable(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined
  } catch {
    return false
  }
}

function toConfig(env: Static<typeof Environment>): Config {
  return {
    databaseUrl: env.DATABASE_URL ?? '',
    databaseUrlDirect: env.DATABASE_URL_DIRECT ?? env.DATABASE_URL ?? '',
    embedded: env.DATABASE_URL === undefined,
    dataDir: env.DATA_DIR,
    host: env.HOST,
    port: env.PORT,
    jwtSecret: env.JWT_SECRET ?? '',
    jwtSecretPrevious: env.JWT_SECRET_PREVIOUS,
    identityProvider: identityProviderOf(env),
    allowedOrigins: listOf(env.ALLOWED_ORIGINS),
    trustedProxies: listOf(env.TRUSTED_PROXIES),
    adminPassword: env.ADMIN_PASSWORD,
    logLevel: env.LOG_LEVEL,
    accessTokenTtl: env.ACCESS_TOKEN_TTL,
    refreshTokenTtl: env.REFRESH_TOKEN_TTL,
    rateLimitScale: env.RATE_LIMIT_SCALE,
    metricsToken: env.METRICS_TOKEN,
    publicUrl: env.PUBLIC_URL,
    basePath: env.BASE_PATH ?? '',
    cookieSameSite: env.COOKIE_SAME_SITE,
    smtp: env.SMTP_URL && env.MAIL_FROM ? { url: env.SMTP_URL, from: env.MAIL_FROM } : null,
    vapid: vapidOf(env),
    pushHosts: listOf(env.PUSH_HOSTS?.toLowerCase()),
    webhookHosts: listOf(env.WEBHOOK_HOSTS?.toLowerCase()),
    docs: env.DOCS === 'on',
    web: env.WEB === 'on',
    webBuild: env.WEB === 'on' && env.NODE_ENV !== 'production',
    demo: env.DEMO === undefined ? env.DATABASE_URL === undefined : env.DEMO === 'true',
    pollIntervalMs: env.POLL_INTERVAL_MS,
    wakeUps: env.WAKE_UPS === 'on',
    sweepIntervalMs: env.SWEEP_INTERVAL_MS,
    workerConcurrency: env.WORKER_CONCURRENCY,
    poolSize: env.POOL_SIZE,
    writeQueueSize: env.WRITE_QUEUE_SIZE,
    mediaMaxSize: env.MEDIA_MAX_MIB * MIB,
    mediaQuota: env.MEDIA_QUOTA_MIB * MIB,
    mediaTotal: env.MEDIA_TOTAL_MIB * MIB,
    outboxRetentionDays: env.OUTBOX_RETENTION_DAYS,
    deliveryLogRetentionDays: env.DELIVERY_LOG_RETENTION_DAYS,
    auditRetentionMonths: env.AUDIT_RETENTION_MONTHS,
    journalRetentionDays: env.JOURNAL_RETENTION_DAYS,
  }
}

/** A limit times RATE_LIMIT_SCALE, at least 1. */
export function scaledLimit({ rateLimitScale }: Pick<Config, 'rateLimitScale'>, limit: number): number {
  return Math.max(1, Math.round(limit * rateLimitScale))
}

function listOf(text: string | undefined): string[] {
  return text?.split(',').map((item) => item.trim()) ?? []
}

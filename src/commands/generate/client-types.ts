import { readFile, writeFile } from 'node:fs/promises'
import { pino } from 'pino'
import { createServer } from '../../api/server.ts'
import { closeApp, createApp } from '../../app.ts'
import { readConfig } from '../../config.ts'

/**
 * `npm run client-types [-- --check]`: writes the types of frames and responses of the client and the console, or fails
 * when they differ from the server's schemas. Each name has the path of its schema: `<method> <path>`, `body` or `answer`,
 * and properties; or `schema` and the name of a component.
 */
const ofClient = {
  ...Object.fromEntries(
    ['PostLiked', 'CommentCreated', 'CommentReplied', 'UserMentioned', 'UserFollowed', 'PostPublished'].map((type) => [
      `${type}Data`,
      `schema ${type}Data`,
    ]),
  ),
  Actor: 'get /notifications/{id} answer actors',
  Notification: 'get /notifications/{id} answer',
  Changes: 'get /notifications/changes answer',
  NotificationPage: 'get /notifications answer',
  Counts: 'get /notifications/unread-count answer',
  Updated: 'post /notifications/read answer',
  Preferences: 'get /notifications/preferences answer preferences',
  PreferencesAnswer: 'get /notifications/preferences answer',
  Why: 'get /notifications/{id}/why answer',
  Stats: 'get /notifications/stats answer',
  Comment: 'get /posts/{id}/comments answer items',
  PushSubscriptionBody: 'post /push/subscriptions body',
}
const ofApp = {
  Relation: 'get /users/{id} answer viewer',
  User: 'get /users/{id} answer',
  Me: 'get /auth/me answer',
  Mention: 'get /posts/{id} answer mentions',
  Media: 'get /posts/{id} answer media',
  Post: 'get /posts/{id} answer',
  AuthSession: 'get /auth/sessions answer items',
  PushBrowser: 'get /push/subscriptions answer items',
  WhatIf: 'post /notifications/preferences/what-if answer',
}
const ofConsole = {
  Sql: 'get /admin/lanes answer sql',
  Process: 'get /admin/system answer processes',
  System: 'get /admin/system answer',
  Worker: 'get /admin/workers answer items',
  Advice: 'get /admin/advice answer items',
  Setting: 'get /admin/settings answer items',
  Table: 'get /admin/tables answer items',
  Column: 'get /admin/tables/{name} answer columns',
  TablePage: 'get /admin/tables/{name} answer',
  Invariant: 'get /admin/invariants answer items',
  FoundUser: 'get /admin/users answer items',
  Badge: 'get /admin/users/{id}/badge answer',
  Line: 'get /admin/users/{id}/timeline answer items',
  Decision: 'get /admin/users/{id}/explain answer items',
  WhyNotStep: 'get /admin/users/{id}/why-not answer steps',
  Step: 'get /admin/trace/{userId}/{notificationId} answer steps',
  Trace: 'get /admin/trace/{userId}/{notificationId} answer',
  TracedEvent: 'get /admin/trace answer events',
  TracedRequest: 'get /admin/trace answer',
  AuditEntry: 'get /admin/audit answer items',
  DeadLetter: 'get /admin/dead-letters answer items',
  Cause: 'get /admin/dead-letters/causes answer items',
  Replayed: 'post /admin/dead-letters/{id}/dry-run answer',
  Template: 'get /admin/templates answer items',
  Preview: 'post /admin/templates/{id}/preview answer',
  TemplateText: 'post /admin/templates/preview body template',
  Segment: 'get /admin/segments answer items',
  Estimate: 'post /admin/segments/estimate answer',
  Broadcast: 'get /admin/broadcasts answer items',
  Progress: 'get /admin/broadcasts/{id} answer progress',
  BroadcastWithProgress: 'get /admin/broadcasts/{id} answer',
  DryRun: 'post /admin/broadcasts/{id}/dry-run answer',
  Recipient: 'get /admin/broadcasts/{id}/recipients answer items',
  NotificationType: 'get /admin/notification-types answer items',
}

type Schema = {
  $ref?: string
  type?: string | string[]
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  additionalProperties?: boolean | Schema
  patternProperties?: Record<string, Schema>
  description?: string
}
type Body = { content?: Record<string, { schema?: Schema }> }
type Operation = { requestBody?: Body; responses?: Record<string, Body> }
type Document = { paths: Record<string, Record<string, Operation>>; components?: { schemas?: Record<string, Schema> } }
type Socket = {
  components: { messages: Record<string, { payload: Schema }>; schemas?: Record<string, Schema> }
  operations: Record<'fromClient' | 'fromServer', { messages: { $ref: string }[] }>
}

const { openapi, asyncapi } = await describe()
const head = '// Made by `npm run client-types` from the schemas of the server; not edited by hand.'
/** Names by type, of the file that is being made and of what it imports. */
const named = new Map<string, string>()
const client = declareAll(ofClient)
const frames = [declareFrames('ClientFrame', 'fromClient'), declareFrames('ServerFrame', 'fromServer')]
const app = declareAll(ofApp)
const answers = declareAll(ofConsole)
const files = {
  'client/src/protocol.ts': [...client, ...frames],
  'web/app/answers.ts': [importOf('ravenpost-client', ofClient, app), ...app],
  'web/console/answers.ts': [
    `${importOf('ravenpost-client', ofClient, answers)}\n${importOf('../app/answers.ts', ofApp, answers)}`,
    ...answers,
  ],
}

for (const [path, types] of Object.entries(files)) {
  const file = new URL(`../../../${path}`, import.meta.url)
  const text = `${[head, ...types].join('\n\n')}\n`
  if (!process.argv.includes('--check')) await writeFile(file, text)
  else if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
    process.stderr.write(`${path} differs from the schemas: run npm run client-types and commit it\n`)
    process.exitCode = 1
  }
}

async function describe(): Promise<{ openapi: Document; asyncapi: Socket }> {
  // No query runs, so the URL only has to be well-formed.
  const config = readConfig({
    DATABASE_URL: 'postgres://nobody@localhost/none',
    JWT_SECRET: 'not used to sign anything'.padEnd(32),
  })
  const app = createApp(config, pino({ level: 'silent' }))
  const server = await createServer(app)
  const [openapi, asyncapi] = await Promise.all(
    ['/openapi.json', '/asyncapi.json'].map(async (url) => (await server.inject(url)).json()),
  )
  await server.close()
  await closeApp(app)
  return { openapi, asyncapi }
}

/**
 * Finds a schema.
 * @throws {Error} when the server has no such call, or its schema no such property
 */
function find(place: string): Schema {
  const [method = '', path = '', part, ...properties] = place.split(' ')
  const named = method === 'schema' && openapi.components?.schemas?.[path]
  if (named) return named
  const { requestBody, responses } = openapi.paths[path]?.[method] ?? {}
  const body = part === 'body' ? requestBody : responses?.['200']
  let schema = resolve(body?.content?.['application/json']?.schema)
  for (const property of properties) {
    schema = resolve(schema?.properties?.[property])
    schema = resolve(schema?.items) ?? schema
  }
  if (!schema) throw new Error(`the server's document has no ${place}`)
  return schema
}

function resolve(schema: Schema | undefined): Schema | undefined {
  if (!schema?.$ref) return schema
  const name = schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1)
  return resolve(openapi.components?.schemas?.[name] ?? asyncapi.components.schemas?.[name])
}

/** The types of a file, which use each other's names. */
function declareAll(shapes: Record<string, string>): string[] {
  return Object.entries(shapes).map(([name, place]) => declare(name, find(place)))
}

/** Imports the names that these types use. */
function importOf(from: string, shapes: Record<string, string>, types: string[]): string {
  const used = Object.keys(shapes).filter((name) =>
    types.some((type) => new RegExp(`[:|&(] ?${name}\\b`).test(type.replace(/\/\*\*.*\*\//g, ''))),
  )
  return `import type { ${used.join(', ')} } from '${from}'`
}

function declare(name: string, schema: Schema): string {
  const type = render(schema, '')
  const [base, nameOfBase] =
    [...named].find(([each]) => each.endsWith('\n}') && type.startsWith(each.slice(0, -1))) ?? []
  if (!named.has(type)) named.set(type, name)
  return `export type ${name} = ${base ? `${nameOfBase} & {\n${type.slice(base.length - 1)}` : type}`
}

function declareFrames(name: string, operation: 'fromClient' | 'fromServer'): string {
  const frames = asyncapi.operations[operation].messages.map(({ $ref }) => {
    const payload = asyncapi.components.messages[$ref.slice($ref.lastIndexOf('/') + 1)]?.payload
    if (!payload) throw new Error(`the server's document has no ${$ref}`)
    return `  | ${render(payload, '    ')}`
  })
  return `export type ${name} =\n${frames.join('\n')}`
}

/** The TypeScript type of a schema: its name if it has one. `indent`: indentation of the line on which it begins. */
function render(schema: Schema, indent: string): string {
  const type = renderPlain(resolve(schema) ?? {}, indent)
  return named.get(indent === '' ? type : type.replaceAll(`\n${indent}`, '\n')) ?? type
}

function renderPlain(schema: Schema, indent: string): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const).replaceAll('"', "'")
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value).replaceAll('"', "'")).join(' | ')
  if (schema.anyOf) return [...new Set(schema.anyOf.map((each) => render(each, indent)))].join(' | ')
  const types = [schema.type ?? 'unknown'].flat()
  return types.map((type) => renderOf(type, schema, indent)).join(' | ')
}

function renderOf(type: string, schema: Schema, indent: string): string {
  if (type === 'integer') return 'number'
  if (type === 'array') {
    const item = render(schema.items ?? {}, indent)
    return /[ |]/.test(item) && !item.startsWith('{') ? `(${item})[]` : `${item}[]`
  }
  if (type !== 'object') return type
  const { properties, required = [], additionalProperties, patternProperties } = schema
  if (!properties) {
    const values = Object.values(patternProperties ?? {})[0] ?? additionalProperties
    return `Record<string, ${typeof values === 'object' ? render(values, indent) : 'unknown'}>`
  }
  const lines = Object.entries(properties).flatMap(([name, property]) => {
    const optional = required.includes(name) ? '' : '?'
    const comment = property.description ? [`${indent}  /** ${property.description} */`] : []
    return [...comment, `${indent}  ${name}${optional}: ${render(property, `${indent}  `)}`]
  })
  if (additionalProperties === true) lines.push(`${indent}  [more: string]: unknown`)
  return lines.length === 0 ? 'Record<string, never>' : `{\n${lines.join('\n')}\n${indent}}`
}

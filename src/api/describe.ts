import { type TSchema, Type } from '@sinclair/typebox'
import type { FastifySchema, RouteOptions } from 'fastify'
import { type Code, codes } from '../errors.ts'
import { exampleOf } from './examples.ts'

type Media = { schema?: TSchema; example?: unknown; examples?: unknown }
type Answer = { description?: string; content?: Record<string, Media> }
export type OperationObject = {
  'x-errors'?: Code[]
  'x-answers'?: Record<string, string>
  operationId?: string
  summary?: string
  tags?: string[]
  security?: unknown[]
  parameters?: { name: string; in: string; required?: boolean; schema?: TSchema; example?: unknown }[]
  requestBody?: { required?: boolean; content?: Record<string, Media> }
  responses?: Record<string, Answer>
}
export type Document = {
  tags?: { name: string; description: string }[]
  paths?: Record<string, Record<string, OperationObject>>
  components?: Record<string, Record<string, unknown>>
}

/** The groups of the calls. A route names its group in `tags`. */
const groups: Record<string, string> = {
  accounts: 'Accounts and sessions',
  users: 'Profiles, follows, blocks and mutes',
  posts: 'Posts, likes, comments and bookmarks',
  media: 'Images, audio and video',
  notifications: 'The inbox, its changes and preferences',
  services:
    'For admins and services: sending, webhooks, and the users of your own application. Below `/users/external/{externalId}` there is also every call of `/users/{id}`',
  admin: 'Administration',
  demo: 'Simulated users and test notifications. Only with `DEMO=true`',
  operation: 'Probes and metrics',
}

/** A route's schema with what its configuration implies: whether it needs a token, and more error codes. */
export function describeRoute(schema: FastifySchema = {}, { config = {} }: RouteOptions): FastifySchema {
  const errors = new Set<Code>(schema.errors)
  if (config.rateLimit !== 'off') errors.add('RATE_LIMITED')
  if (config.role || config.service) errors.add('FORBIDDEN')
  if (config.reauthenticates) errors.add('REAUTHENTICATION_REQUIRED').add('WRONG_PASSWORD')
  return Object.assign(
    { ...schema, 'x-errors': [...errors], 'x-answers': schema.answers },
    config.public && { security: [] },
  )
}

/** Completes the generated document: adds a name, errors and examples to each call, and the groups in use. */
export function describeOperations(document: Document): void {
  const used = new Set<string>()
  const answered = new Set<Code>()
  for (const [path, methods] of Object.entries(document.paths ?? {}))
    for (const [method, operation] of Object.entries(methods)) {
      const errors = errorsOf(method, path, operation)
      for (const tag of operation.tags ?? []) used.add(tag)
      for (const code of errors) answered.add(code)
      operation.operationId = operationIdOf(method, path)
      if (errors.includes('IDEMPOTENCY_KEY_REQUIRED')) requireKey(operation)
      if (mayOmitBody(operation)) operation.requestBody = { ...operation.requestBody, required: false }
      addExamples(operation)
      for (const [status, answer] of Object.entries(operation.responses ?? {}))
        answer.description = operation['x-answers']?.[status] ?? answer.description ?? ''
      operation.responses = { ...operation.responses, ...problems(errors, operation.responses) }
      delete operation['x-errors']
      delete operation['x-answers']
    }
  document.tags = Object.entries(groups).flatMap(([name, description]) =>
    used.has(name) ? [{ name, description }] : [],
  )
  document.components = { ...document.components, examples: Object.fromEntries([...answered].map(exampleOfProblem)) }
}

/**
 * `PATCH /notifications/{id}/mark-read` → `patchNotificationsByIdMarkRead`. Derived from the path, so that a new
 * summary does not rename it.
 */
function operationIdOf(method: string, path: string): string {
  const words = path.replaceAll(/\{(\w+)\}/g, 'by-$1').split(/[/-]/)
  return method.toLowerCase() + words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('')
}

/**
 * Documents the header `idempotency-key` as required. The schemas leave it optional, because a missing one has its own
 * error code.
 */
function requireKey({ parameters = [] }: OperationObject): void {
  for (const parameter of parameters) if (parameter.name === 'idempotency-key') parameter.required = true
}

/** An absent body counts as `{}`. The generator marks every body as required. */
function mayOmitBody({ requestBody }: OperationObject): boolean {
  const schema = requestBody?.content?.['application/json']?.schema
  return schema?.type === 'object' && !schema.minProperties && (schema.required ?? []).length === 0
}

/** Error codes for a refused access token. All but the first apply only to tokens of an identity provider. */
const ofTokens: Code[] = ['UNAUTHENTICATED', 'SESSION_ENDED', 'USER_NOT_PROVISIONED', 'IDENTITY_PROVIDER_UNAVAILABLE']

/** The codes of the route, and those of authentication, validation, limits and an unavailable database. */
function errorsOf(method: string, path: string, operation: OperationObject): Code[] {
  const found = new Set<Code>(operation['x-errors'])
  const takes = (name: string) => operation.parameters?.some((parameter) => parameter.name === name)
  if (operation.security?.length !== 0) for (const code of ofTokens) found.add(code)
  if (found.has('FORBIDDEN')) found.add('PASSWORD_CHANGE_REQUIRED')
  found.add('VALIDATION_FAILED')
  if (method !== 'get' && method !== 'head') found.add('BAD_JSON').add('BODY_TOO_LARGE').add('UNSUPPORTED_MEDIA_TYPE')
  if (takes('cursor')) found.add('BAD_CURSOR')
  if (takes('idempotency-key')) found.add('IDEMPOTENCY_KEY_REUSED').add('IDEMPOTENCY_KEY_BUSY')
  if (path !== '/healthz') found.add('BUSY').add('INTERNAL')
  return [...found].sort((a, b) => codes[a][0] - codes[b][0])
}

/**
 * Creates one answer per status, with an example of each error code. Keeps the answers that the call's schema defines.
 */
function problems(found: Code[], own: Record<string, Answer> = {}): Record<string, Answer> {
  const statuses = [...new Set(found.map((code) => codes[code][0]))].filter((status) => !(status in own))
  return Object.fromEntries(
    statuses.map((status) => {
      const those = found.filter((code) => codes[code][0] === status)
      const description = those.map((code) => `\`${code}\`: ${codes[code][1]}`).join('. ')
      const examples = Object.fromEntries(those.map((code) => [code, { $ref: `#/components/examples/${code}` }]))
      const schema = Type.Ref('#/components/schemas/Problem')
      return [status, { description, content: { 'application/problem+json': { schema, examples } } }]
    }),
  )
}

function exampleOfProblem(code: Code): [Code, object] {
  const [status, title] = codes[code]
  return [
    code,
    {
      summary: title,
      value: { type: `urn:ravenpost:problem:${code}`, title, status, detail: title, instance: '/', code },
    },
  ]
}

function addExamples({ parameters, requestBody, responses = {} }: OperationObject): void {
  for (const parameter of parameters ?? [])
    if (parameter.schema && parameter.schema.default === undefined && parameter.in === 'path')
      parameter.example = exampleOf(parameter.schema, parameter.name)
  for (const { content = {} } of [requestBody ?? {}, ...Object.values(responses)])
    for (const [type, media] of Object.entries(content))
      if (media.schema && type === 'application/json') media.example = exampleOf(media.schema)
}

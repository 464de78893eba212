import { type TSchema, Type } from '@sinclair/typebox'
import { type Code, codes } from '../errors.ts'
import { exampleOf } from './examples.ts'
import { operationIdOf, operations, tagOf, tags } from './operations.ts'

type Media = { schema?: TSchema; example?: unknown; examples?: unknown }
type Answer = { description?: string; content?: Record<string, Media> }
export type OperationObject = {
  operationId?: string
  summary?: string
  tags?: string[]
  security?: unknown[]
  parameters?: { name: string; in: string; required?: boolean; schema?: TSchema; example?: unknown }[]
  requestBody?: { content?: Record<string, Media> }
  responses?: Record<string, Answer>
}
export type Document = {
  tags?: { name: string; description: string }[]
  paths?: Record<string, Record<string, OperationObject>>
  components?: Record<string, Record<string, unknown>>
}

/** Completes the generated document: adds a name, a summary, a tag, errors and examples to each call. */
export function describeOperations(document: Document): void {
  const used = new Set<string>()
  const answered = new Set<Code>()
  for (const [path, methods] of Object.entries(document.paths ?? {}))
    for (const [method, operation] of Object.entries(methods)) {
      const tag = tagOf(path)
      const codesOf = codesOfCall(method, path, operation)
      used.add(tag)
      for (const code of codesOf) answered.add(code)
      operation.operationId = operationIdOf(method, path)
      operation.summary = operations[`${method.toUpperCase()} ${path}`]?.[0] ?? operation.operationId
      operation.tags = [tag]
      if (codesOf.includes('IDEMPOTENCY_KEY_REQUIRED')) requireKey(operation)
      addExamples(operation)
      operation.responses = { ...operation.responses, ...problems(codesOf, operation.responses) }
    }
  document.tags = Object.entries(tags).flatMap(([name, description]) => (used.has(name) ? [{ name, description }] : []))
  document.components = { ...document.components, examples: Object.fromEntries([...answered].map(exampleOfProblem)) }
}

/** Marks the key as required. The schemas leave it optional, because a missing key has an error code of its own. */
function requireKey({ parameters = [] }: OperationObject): void {
  for (const parameter of parameters) if (parameter.name === 'idempotency-key') parameter.required = true
}

/** Refusals of an access token. All but the first apply only to tokens of an identity provider. */
const ofTokens: Code[] = ['UNAUTHENTICATED', 'SESSION_ENDED', 'USER_NOT_PROVISIONED', 'IDENTITY_PROVIDER_UNAVAILABLE']

/** Includes the codes of earlier layers: authentication, validation, limits, an unavailable database. */
function codesOfCall(method: string, path: string, operation: OperationObject): Code[] {
  const [, ...own] = operations[`${method.toUpperCase()} ${path}`] ?? ['']
  const found = new Set<Code>(own)
  if (operation.security?.length !== 0) for (const code of ofTokens) found.add(code)
  if (tagOf(path) !== 'operation') found.add('RATE_LIMITED')
  if (found.has('FORBIDDEN')) found.add('PASSWORD_CHANGE_REQUIRED')
  found.add('VALIDATION_FAILED')
  if (method !== 'get' && method !== 'head') found.add('BAD_JSON').add('BODY_TOO_LARGE').add('UNSUPPORTED_MEDIA_TYPE')
  if (operation.parameters?.some(({ name }) => name === 'cursor')) found.add('BAD_CURSOR')
  if (path !== '/healthz') found.add('BUSY').add('INTERNAL')
  return [...found].sort((a, b) => codes[a][0] - codes[b][0])
}

/** One answer per status, with an example of each code. Keeps the answers that the call's schema defines. */
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
    { summary: title, value: { type: `urn:ravenpost:problem:${code}`, title, status, instance: '/', code } },
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

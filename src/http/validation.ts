import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { TSchema } from '@sinclair/typebox'
import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv'
import { default as addFormats } from 'ajv-formats'
import type { FastifyInstance, FastifyRequest, FastifySchemaCompiler } from 'fastify'
import { fail } from '../errors.ts'

/**
 * A schema that forbids unknown properties refuses them; they are never dropped silently. Verbose errors contain their
 * schema, whose description explains a pattern.
 */
const options: Options = {
  allErrors: true,
  verbose: true,
  useDefaults: true,
  removeAdditional: false,
  allowUnionTypes: true,
}

/** Bodies are not coerced. Query strings and paths are text, so they are coerced before validation, a single value into a list. */
const compileSchema = (): FastifySchemaCompiler<TSchema> => {
  const exact = new Ajv(options)
  const converting = new Ajv({ ...options, coerceTypes: 'array' })
  for (const ajv of [exact, converting]) addFormats.default(ajv)
  return ({ schema, httpPart }) => {
    if (httpPart === 'body') return compiledWhenUsed(exact, schema)
    const fits = compiledWhenUsed(converting, schema)
    return (data: object) => {
      if (!fits(data)) return { error: Object.assign(new Error('See errors'), { validation: fits.errors }) }
      return allFinite(data) ? { value: data } : { error: fail('VALIDATION_FAILED', 'Numbers must be finite') }
    }
  }
}

/** Compiling the schemas of all routes would take a third of the server's start time. */
function compiledWhenUsed(ajv: Ajv, schema: TSchema): { (data: unknown): boolean; errors?: ErrorObject[] | null } {
  let compiled: ValidateFunction | undefined
  const fits = (data: unknown): boolean => {
    compiled ??= ajv.compile(schema)
    const answer = compiled(data)
    fits.errors = compiled.errors
    return answer
  }
  fits.errors = undefined as ErrorObject[] | null | undefined
  return fits
}

/** JSON.parse turns 1e999 into Infinity, which ajv accepts as an integer within any limit. */
function allFinite(data: object): boolean {
  return Object.values(data).every((value) => typeof value !== 'number' || Number.isFinite(value))
}

/** A route without a schema for body or query refuses them; an absent body counts as `{}`. */
export function validateRequests(server: FastifyInstance): void {
  server.setValidatorCompiler(compileSchema())
  server.addHook('preValidation', (request, _reply, done) => {
    if (request.body === undefined) request.body = {}
    const { body, querystring } = request.routeOptions.schema ?? {}
    if (!body && !isEmptyObject(request.body)) return done(fail('VALIDATION_FAILED', 'This call accepts no body'))
    if (!querystring && !isEmptyObject(request.query))
      return done(fail('VALIDATION_FAILED', 'This call accepts no query parameters'))
    done()
  })
}

/** An empty body of type application/json counts as absent. */
export function parseJsonBodies(server: FastifyInstance): void {
  const parse = server.getDefaultJsonParser('error', 'error')
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) return done(null, undefined)
    const text = body.toString()
    parse(request, text, (error, value) => {
      if (error) return done(error, undefined)
      if (isDeeper(value, MOST_LEVELS))
        return done(fail('VALIDATION_FAILED', `The body nests more than ${MOST_LEVELS} levels`), undefined)
      const pointer = surrogateEscape.test(text) ? pointerToIllFormed(value) : undefined
      if (pointer !== undefined)
        return done(fail('VALIDATION_FAILED', 'Contains half of a surrogate pair', { pointer }), undefined)
      done(null, value)
    })
  })
}

/** Lets the routes of a plugin accept forms of our own pages. Their fields are validated like JSON. */
export function acceptForms(server: FastifyInstance): void {
  server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(String(body))))
  })
}

export function isForm({ headers }: FastifyRequest): boolean {
  return headers['content-type']?.startsWith('application/x-www-form-urlencoded') ?? false
}

/** Serialising a value recurses: JSON.stringify fails at some thousand levels, PostgreSQL at some more. */
const MOST_LEVELS = 100

function isDeeper(value: unknown, levels: number): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; depth <= levels; depth += 1) {
    level = level.flatMap((each) => (each !== null && typeof each === 'object' ? Object.values(each) : []))
    if (level.length === 0) return false
  }
  return true
}

/** UTF-8 has no surrogates, so a body contains them as escapes only (RFC 8259, section 8.2). */
const surrogateEscape = /\\u[dD][89a-fA-F]/

/** The JSON Pointer of a text, or of the property with a name, that PostgreSQL cannot store as jsonb. */
function pointerToIllFormed(value: unknown): string | undefined {
  if (typeof value === 'string') return value.isWellFormed() ? undefined : ''
  if (value === null || typeof value !== 'object') return undefined
  for (const [name, each] of Object.entries(value)) {
    const below = name.isWellFormed() ? pointerToIllFormed(each) : ''
    if (below !== undefined) return `/${escapedForPointer(name.toWellFormed())}${below}`
  }
  return undefined
}

const escapedForPointer = (name: string) => name.replaceAll('~', '~0').replaceAll('/', '~1')

/** The JSON Pointer (RFC 6901) of the fault: for a missing or unknown property, of that property itself. */
export function pointerOf({ instancePath, params }: Pick<ErrorObject, 'instancePath' | 'params'>): string {
  const property: unknown = params.missingProperty ?? params.additionalProperty
  if (typeof property !== 'string') return instancePath
  return `${instancePath}/${escapedForPointer(property)}`
}

type KeywordError = Pick<ErrorObject, 'keyword' | 'params' | 'message' | 'parentSchema'>

/** The fault in plain words. */
export function messageFor({ keyword, params, message, parentSchema }: KeywordError): string {
  if (keyword === 'pattern' && parentSchema?.description) return `has the wrong format (${parentSchema.description})`
  return sentences[keyword]?.(params) ?? message ?? 'is not valid'
}

const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`

const sentences: Record<string, (params: Record<string, unknown>) => string> = {
  required: () => 'is required',
  additionalProperties: () => 'is not a known property',
  minLength: ({ limit }) => `must have at least ${plural(Number(limit), 'character')}`,
  maxLength: ({ limit }) => `must have at most ${plural(Number(limit), 'character')}`,
  minItems: ({ limit }) => `must have at least ${plural(Number(limit), 'item')}`,
  maxItems: ({ limit }) => `must have at most ${plural(Number(limit), 'item')}`,
  uniqueItems: () => 'must not name anything twice',
  minimum: ({ limit }) => `must be at least ${limit}`,
  maximum: ({ limit }) => `must be at most ${limit}`,
  exclusiveMinimum: ({ limit }) => `must be more than ${limit}`,
  minProperties: ({ limit }) => `must have at least ${limit === 1 ? '1 property' : `${limit} properties`}`,
  maxProperties: ({ limit }) => `must have at most ${limit === 1 ? '1 property' : `${limit} properties`}`,
  enum: ({ allowedValues }) => `must be one of ${(Array.isArray(allowedValues) ? allowedValues : []).join(', ')}`,
  const: ({ allowedValue }) => `must be ${JSON.stringify(allowedValue)}`,
  type: ({ type }) =>
    `must be ${Array.isArray(type) ? type.join(' or ') : `${/^[aeio]/.test(String(type)) ? 'an' : 'a'} ${type}`}`,
  pattern: () => 'has the wrong format',
  format: ({ format }) => `is not a valid ${format}`,
}

function isEmptyObject(value: unknown): boolean {
  return value !== null && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0
}

type Build = ReturnType<typeof SerializerSelector>

/** Compiles each of Fastify's serializers on first use. Compiling all would take a third of the server's start time. */
export const buildSerializers: Build = (...given) => {
  const compile = SerializerSelector()(...given)
  return (route) => {
    let serialize: ReturnType<typeof compile> | undefined
    return (answer) => {
      serialize ??= compile(route)
      return serialize(answer)
    }
  }
}

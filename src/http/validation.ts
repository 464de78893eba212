import type { TSchema } from '@sinclair/typebox'
import { TypeCompiler, type ValueError } from '@sinclair/typebox/compiler'
import { Value } from '@sinclair/typebox/value'
import type { FastifyInstance, FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify'
import { fail } from '../errors.ts'

/** More of them help nobody, and a body of 500 wrong ids would have as many. */
const MAX_ERRORS = 20

/**
 * Bodies must be of the right type as they come; query strings and paths, being text, are converted first. Defaults are
 * filled in. Errors name the place of each fault.
 */
const compileSchema: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = TypeCompiler.Compile(schema)
  return (given: unknown) => {
    const value = Value.Default(schema, httpPart === 'body' ? given : Value.Convert(schema, given))
    return check.Check(value) ? { value } : { error: describe(check.Errors(value)) }
  }
}

/** TypeBox validates; a route without a schema for its body or query takes none; an absent body counts as `{}`. */
export function validateRequests(server: FastifyInstance): void {
  server.setValidatorCompiler(compileSchema)
  server.addHook('preValidation', async (request) => {
    request.body ??= request.body === undefined ? {} : null
    const { body, querystring } = request.routeOptions.schema ?? {}
    if (!body && hasKeys(request.body)) throw fail('VALIDATION_FAILED', 'This call takes no body')
    if (!querystring && hasKeys(request.query)) throw fail('VALIDATION_FAILED', 'This call takes no query parameters')
  })
}

/** An empty body of type application/json counts as absent. */
export function parseJsonBodies(server: FastifyInstance): void {
  const parse = server.getDefaultJsonParser('error', 'error')
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined)
    else parse(request, body.toString(), done)
  })
}

/** One message per place, in the shape Fastify passes on to the error handler. */
function describe(errors: Iterable<ValueError>): FastifySchemaValidationError[] {
  const found = new Map<string, FastifySchemaValidationError>()
  for (const { path, message, type } of errors) {
    if (found.size === MAX_ERRORS) break
    if (!found.has(path))
      found.set(path, { instancePath: path, message, keyword: String(type), schemaPath: '', params: {} })
  }
  return [...found.values()]
}

function hasKeys(value: unknown): boolean {
  return value === null || typeof value !== 'object' || Object.keys(value).length > 0
}

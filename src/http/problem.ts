import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Static, Type } from '@sinclair/typebox'
import type { ConnectionError, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isMissingPartition } from '../base/failure.ts'
import { AppError, type Code, codes, fail, messageOf } from '../errors.ts'
import { messageFor, pointerOf } from './validation.ts'

/** Maximum number of listed errors. Otherwise a body with 500 invalid ids would get 500 errors, which help nobody. */
const MAX_ERRORS = 20

const Fault = Type.Object({
  pointer: Type.String({ description: 'JSON Pointer to the invalid value' }),
  message: Type.String({ description: 'English message for users' }),
  keyword: Type.String({ description: 'JSON Schema keyword that failed, or `rule`; for translations' }),
  params: Type.Record(Type.String(), Type.Unknown(), { description: 'Values of the keyword, such as `limit`' }),
})
type Fault = Static<typeof Fault>

/**
 * RFC 9457, with a stable `code`. After a failed validation, `errors` lists each fault with its JSON Pointer (RFC
 * 6901).
 */
export const Problem = Type.Object(
  {
    type: Type.String({ description: 'URN with the code' }),
    title: Type.String({ description: 'English, the same for every answer with this code' }),
    status: Type.Integer({ description: 'The HTTP status' }),
    detail: Type.String({ description: 'What to do next; the title when there is no more to explain' }),
    instance: Type.String({ description: 'Path of the request' }),
    code: Type.Unsafe<Code>({ type: 'string', enum: Object.keys(codes), description: 'Stable name of the error' }),
    errors: Type.Optional(Type.Array(Fault, { description: 'Only for VALIDATION_FAILED; at most 20' })),
  },
  { $id: 'Problem' },
)

declare module 'fastify' {
  interface FastifySchema {
    /** Error codes of this call for the API's documents, in addition to those that src/api/describe.ts derives. */
    errors?: readonly Code[]
    /** Descriptions of the successful statuses, for the API's documents. */
    answers?: Readonly<Record<number, string>>
  }
}

/** Answers every error as problem+json. An unknown error becomes a 500 that does not reveal its cause. */
export function answerProblems(server: FastifyInstance): void {
  server.setErrorHandler(sendProblem)
  server.setNotFoundHandler((request, reply) => sendProblem(fail('ROUTE_NOT_FOUND'), request, reply))
}

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = error instanceof AppError ? error : translate(error)
  if (problem.status >= 500) request.log.error({ err: error }, problem.title)
  // RFC 9110, section 15.5.2: every 401 names the authentication scheme.
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer')
  if (problem.retryAfter !== undefined) reply.header('retry-after', Math.ceil(problem.retryAfter))
  // The route's caching headers do not apply to an error.
  reply.header('cache-control', 'no-store')
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .send({
      type: typeOf(problem.code),
      title: problem.title,
      status: problem.status,
      detail: problem.detail,
      instance: request.url.split('?', 1)[0],
      code: problem.code,
      errors: problem.code === 'VALIDATION_FAILED' ? validationErrors(error, problem) : undefined,
    })
}

/**
 * Answers input that is not HTTP or came too slowly. There is no request object yet, so the response is written by
 * hand.
 */
export function answerMalformedRequest(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  endWithProblem(socket, fail(malformed[error.code] ?? 'BAD_HTTP'), '')
}

/** Writes a response to a bare connection and closes it. */
export function endWithProblem(socket: Duplex, problem: AppError, instance: string): void {
  const { code, title, status, detail, retryAfter } = problem
  const body = JSON.stringify({ type: typeOf(code), title, status, detail, instance, code })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${randomUUID()}`,
    ...(retryAfter === undefined ? [] : [`retry-after: ${Math.ceil(retryAfter)}`]),
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

const malformed: Record<string, Code> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TOO_SLOW',
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
}

const typeOf = (code: Code) => `urn:ravenpost:problem:${code}`

/** Errors of Fastify and PostgreSQL that a client causes or can retry. */
function translate(cause: unknown): AppError {
  const code = isCoded(cause) ? cause.code : ''
  const translated = byFastifyCode[code]
  if (translated) return fail(translated, undefined, { cause })
  if (isCoded(cause) && cause.validation) return fail('VALIDATION_FAILED', 'See errors', { cause })
  if (textNotStorable.has(code)) return fail('VALIDATION_FAILED', 'The character U+0000 is not allowed', { cause })
  if (passing.test(code) || lostConnection.test(messageOf(cause)) || isMissingPartition(cause))
    return fail('BUSY', 'Try again', { cause, retryAfter: 1 })
  if (isCoded(cause) && cause.statusCode && cause.statusCode < 500)
    return fail('VALIDATION_FAILED', cause.message, { cause })
  return fail('INTERNAL', undefined, { cause })
}

const byFastifyCode: Record<string, Code> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'BAD_JSON',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'BAD_JSON',
  FST_ERR_CTP_BODY_TOO_LARGE: 'BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
}

/** character_not_in_repertoire and untranslatable_character: PostgreSQL stores no U+0000. */
const textNotStorable = new Set(['22021', '22P05'])

/**
 * Lost connections, deadlocks, full disks, shutdowns, timeouts of statements and locks, and a restored database before
 * its adoption (55000): a retry may succeed.
 */
const passing = /^(08\w{3}|40\w{3}|53\w{3}|57P0\d|57014|55000|55P03|25P03|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE)$/

/** Errors of pg without a code: no connection available in time, or a connection lost during its query. */
const lostConnection =
  /^(timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client (has encountered|was closed))/

type Coded = Error & Pick<Partial<FastifyError>, 'validation' | 'statusCode'> & { code: string }

function isCoded(error: unknown): error is Coded {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
}

function validationErrors(error: unknown, { pointer, message }: AppError): Fault[] {
  const faults = isCoded(error) ? error.validation : undefined
  if (!faults) return [{ pointer, message, keyword: 'rule', params: {} }]
  const found = faults.slice(0, MAX_ERRORS).map((fault) => {
    const { keyword, params } = fault
    return { pointer: pointerOf(fault), message: messageFor(fault), keyword, params }
  })
  // An empty text is too short and does not match its pattern; one of the two explains it.
  return found.filter(
    ({ keyword, pointer }, at) =>
      keyword !== 'pattern' || !found.some((other, where) => where < at && other.pointer === pointer),
  )
}

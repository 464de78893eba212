import { ConfigError } from '../../config.ts'

/** Why a start is impossible, for the operator. The message is complete, so no stack is shown. */
export class StartError extends Error {}

/** The message of an error that the operator can fix; undefined for other errors, which need their stack. */
export function reasonOfStartError(error: unknown): string | undefined {
  if (error instanceof StartError || error instanceof ConfigError) return error.message
  const { code, message, address, port } = firstOf(error)
  if (code === 'EADDRINUSE')
    return `Another program listens on ${address}:${port}: stop it, or set PORT to another port`
  if (code === 'EACCES' && port !== undefined) return `Port ${port} needs more rights: set PORT to 1024 or above`
  if (code !== undefined && unreachable.has(code))
    return `The database cannot be reached (${message}): check DATABASE_URL`
  if (code !== undefined && /CERT|UNABLE_TO_VERIFY|^ERR_(TLS|SSL)_/.test(code))
    return `The certificate of the database is not accepted (${message}): check sslmode and sslrootcert in DATABASE_URL`
  return undefined
}

/** Codes of the operating system, and of PostgreSQL: wrong password, unknown role, unknown database, starting up. */
const unreachable = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', '28P01', '28000', '3D000', '57P03'])

type SystemError = Error & { code?: string; address?: string; port?: number }

/** A name with several addresses fails with one error per address. */
function firstOf(error: unknown): SystemError {
  if (error instanceof AggregateError) return firstOf(error.errors[0])
  return error instanceof Error ? error : new Error(String(error))
}

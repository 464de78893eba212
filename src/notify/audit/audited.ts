import type { FastifyRequest } from 'fastify'
import type { Queryable } from '../../db/client.ts'
import { callerOf } from '../../http/idempotency.ts'

/**
 * An audited change. `target`: kind and id, such as `webhook:7`. `before` and `after`: the part that changes, as JSON,
 * without secrets.
 */
export type AuditedChange = { action: string; target: string | null; before?: unknown; after?: unknown }

/**
 * Writes the audit row of a change in its transaction. Commit soon afterwards, because other audited changes wait for
 * it.
 */
export async function audited(
  trx: Queryable,
  request: FastifyRequest,
  { action, target, before, after }: AuditedChange,
): Promise<void> {
  await trx.query({
    name: 'write_audit',
    text: 'select notify.write_audit($1, $2, $3, $4, $5, $6, $7)',
    values: [callerOf(request), action, target, json(before), json(after), request.id, request.ip],
  })
}

const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value))

/** The former values of the properties in `change`, for the `before` of an audit row. */
export function formerOf<T extends object>(before: T, change: object): Partial<T> {
  return Object.fromEntries(Object.entries(before).filter(([name]) => name in change)) as Partial<T>
}

import type { FastifyRequest } from 'fastify'
import type pg from 'pg'
import { callerOf } from '../../http/idempotency.ts'

/** `target`: its kind and id, `webhook:7`. `before` and `after`: the part that changes, as JSON, without secrets. */
export type AuditedChange = { action: string; target: string | null; before?: unknown; after?: unknown }

/**
 * Writes the audit row of a change in its transaction, which is to commit soon after: other audited changes wait for
 * it.
 */
export async function audited(
  trx: Pick<pg.ClientBase, 'query'>,
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

/** Of the properties in `change`, the former values: what an audit row shows as `before`. */
export function formerOf<T extends object>(before: T, change: object): Partial<T> {
  return Object.fromEntries(Object.entries(before).filter(([name]) => name in change)) as Partial<T>
}

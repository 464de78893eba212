import type pg from 'pg'

/**
 * Locks a name until the transaction ends. Who waits for it longer than `inTransaction` waits for any lock fails with 55P03, which is
 * answered 503. A row, not an advisory lock: those can be held by any role that may connect.
 */
export async function lockName(client: pg.ClientBase, name: string): Promise<void> {
  await client.query({
    name: 'lock_name',
    text: 'insert into notify.named_locks (name) values ($1) on conflict (name) do update set used_at = now()',
    values: [name],
  })
}

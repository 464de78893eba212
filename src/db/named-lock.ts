import type pg from 'pg'

/**
 * Locks a name until the transaction ends. A wait beyond the lock timeout of `inTransaction` fails with 55P03, which is
 * answered 503. A row instead of an advisory lock, which any role can hold.
 */
export async function lockName(client: pg.ClientBase, name: string): Promise<void> {
  await client.query({
    name: 'lock_name',
    text: 'insert into notify.named_locks (name) values ($1) on conflict (name) do update set used_at = now()',
    values: [name],
  })
}

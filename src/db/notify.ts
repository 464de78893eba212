import type pg from 'pg'

/** Sends NOTIFY with each payload, delivered at commit. */
export async function notify(client: pg.ClientBase, channel: string, payloads: string[]): Promise<void> {
  if (payloads.length === 0) return
  await client.query({
    name: 'notify',
    text: 'select pg_notify($1, p) from unnest($2::text[]) p',
    values: [channel, payloads],
  })
}

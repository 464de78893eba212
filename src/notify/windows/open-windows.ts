import type pg from 'pg'
import type { Draft, OpenWindow } from '../dispatch/model.ts'

/** Opens windows, with jitter so that they do not all end at once. An open window keeps its end. */
export async function openWindows(client: pg.ClientBase, windows: OpenWindow[]): Promise<void> {
  if (windows.length === 0) return
  await client.query({
    name: 'open_windows',
    text: `insert into notify.windows (user_id, group_key, filter, type, object_type, object_id, thread_key, data, due_at)
           select u, g, f, t, y, o, h, d, now() + make_interval(secs => lasts * (1 - jitter + 2 * jitter * random()))
           from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::float8[], $10::float8[])
             w (u, g, f, t, y, o, h, d, lasts, jitter)
           on conflict (user_id, group_key, filter) do update set data = excluded.data`,
    values: [
      windows.map((w) => w.userId),
      windows.map((w) => w.groupKey),
      windows.map((w) => w.filterReason ?? 'none'),
      windows.map((w) => w.type.type),
      windows.map((w) => w.objectType),
      windows.map((w) => w.objectId),
      windows.map((w) => w.threadKey),
      windows.map((w) => JSON.stringify(w.data)),
      windows.map((w) => w.type.windowSeconds),
      windows.map((w) => w.type.jitter),
    ],
  })
}

/**
 * When everyone shown has retracted while others wait, those are shown at once. This includes people who came and went
 * in one batch, whom nobody saw.
 */
export async function hurryWindows(client: pg.ClientBase, drafts: Draft[]): Promise<void> {
  const groups = drafts.filter((draft) => draft.removed && draft.groupKey !== null)
  if (groups.length === 0) return
  await client.query({
    name: 'hurry_windows',
    text: `update notify.windows x set due_at = now()
           from unnest($1::bigint[], $2::text[], $3::text[]) w (u, g, f)
           where x.user_id = w.u and x.group_key = w.g and x.filter = w.f and x.due_at > now() and x.user_id = any($1::bigint[])`,
    values: [groups.map((d) => d.userId), groups.map((d) => d.groupKey), groups.map((d) => d.filterReason ?? 'none')],
  })
}

import type pg from 'pg'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { signIn, type TestClient } from '../../client.ts'
import { eventually, type TestSystem } from '../../setup.ts'

export async function adminOf({ as, url, pool }: TestSystem): Promise<TestClient> {
  await as('boss')
  await grantAdmin(pool, 'boss')
  return signIn(url, 'boss')
}

/** Users with inboxes, made in one go; returns their ids. */
export async function addUsers(pool: pg.Pool | pg.Client, prefix: string, count: number): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `with made as (
       insert into social.users (username, email, password_hash, display_name)
       select $1 || i, $1 || i || '@example.org', '!', 'User ' || i from generate_series(1, $2::int) i returning id
     )
     insert into notify.inbox (user_id) select id from made order by id returning user_id as id`,
    [prefix, count],
  )
  return rows.map(({ id }) => id)
}

/** Writes a broadcast and returns its path. */
export async function draft(boss: TestClient, body: object): Promise<string> {
  const content = { title: 'News', body: 'Of today' }
  const { status, body: made } = await boss.request('POST', '/admin/broadcasts', { name: 'News', content, ...body })
  if (status !== 201) throw new Error(JSON.stringify(made))
  return `/admin/broadcasts/${made.id}`
}

export async function act(boss: TestClient, path: string, action: string) {
  const { status, body } = await boss.request('POST', `${path}/${action}`)
  if (status !== 200) throw new Error(JSON.stringify(body))
  return body
}

/** Waits until the broadcast has this state and no recipient waits. Returns it. */
export function untilIn(boss: TestClient, path: string, state: string, seconds = 60) {
  return eventually(async () => {
    const broadcast = await boss.get(path)
    return broadcast.state === state && broadcast.progress.waiting === 0 && broadcast
  }, seconds)
}

/** Number of recipients who have it in their inbox, and number of its rows. They differ only if a recipient got it twice. */
export async function received(pool: pg.Pool, path: string): Promise<{ users: number; rows: number }> {
  const { rows } = await pool.query(
    `select count(distinct user_id)::int as users, count(*)::int as rows from notify.notifications where thread_key = 'broadcast:' || $1`,
    [path.split('/').at(-1)],
  )
  return rows[0]
}

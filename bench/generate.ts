import { parseArgs } from 'node:util'
import pg from 'pg'
import { pino } from 'pino'
import { migrate } from '../src/migrate.ts'

export type Sizes = { users: number; follows: number; notifications: number }

/**
 * Fills an empty database with users, follows and notifications by set-based statements. Followers and inbox sizes follow a
 * power law: user 1 has the most of both, and user r has r^-0.6 of that. States, counts and sources are correct, so that
 * everything works on it and ops.count_drift is empty.
 */
export async function generate(url: string, sizes: Sizes, say: (line: string) => void = () => {}): Promise<void> {
  await migrate(url, pino({ level: 'warn' }))
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  // Shows every event at once, so that runs are comparable.
  await client.query('update notify.types set window_seconds = 0')
  const step = async (name: string, text: string) => {
    const startedAt = performance.now()
    await client.query(text)
    say(`  ${name}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  }
  // Nobody reads yet, so commits need not wait for the disk, and indexes are built once at the end. The replica role skips
  // the checks of foreign keys.
  await client.query(
    `set synchronous_commit = off; set session_replication_role = replica; set maintenance_work_mem = '512MB'; set work_mem = '256MB'`,
  )
  const rebuild = await dropIndexes(client)
  await step('follows', followsOf(sizes))
  await step('users', usersOf(sizes))
  await step('inboxes', inboxesOf(sizes))
  await step('notifications', notificationsOf(sizes))
  await step('sources', sourcesOf(sizes))
  await step('indexes', rebuild)
  await step('vacuum', 'vacuum analyze')
  // Writes everything to disk now, so that it does not slow down later measurements.
  await step('checkpoint', 'checkpoint')
  await client.end()
}

const filled = ['social.users', 'social.follows', 'notify.notifications', 'notify.sources']

/** The statements that create the indexes again. Primary keys stay. */
async function dropIndexes(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
     where indrelid = any($1::regclass[]) and not exists (select from pg_constraint where conindid = indexrelid)`,
    [filled],
  )
  for (const { name } of rows) await client.query(`drop index ${name}`)
  return rows.map(({ definition }) => definition).join(';\n')
}

const usersOf = ({ users }: Sizes) => `
  insert into social.users (id, username, email, password_hash, display_name, follower_count, following_count, post_count)
  overriding system value
  select i, 'user_' || i, 'user_' || i || '@example.org', '-', 'User ' || i, coalesce(a.n, 0), coalesce(b.n, 0), 1
  from generate_series(1, ${users}) i
  left join (select followee_id as id, count(*) as n from social.follows group by 1) a on a.id = i
  left join (select follower_id as id, count(*) as n from social.follows group by 1) b on b.id = i;
  insert into social.sessions (id, user_id, expires_at) overriding system value
  select i, i, now() + interval '30 days' from generate_series(1, ${users}) i;
  insert into social.posts (id, author_id, body) overriding system value
  select i, i, 'Post ' || i from generate_series(1, ${users}) i;
  select setval(pg_get_serial_sequence('social.' || t, 'id'), ${users}) from unnest(array['users', 'sessions', 'posts']) t`

/** For a uniform u, u^2.5 is below x with probability x^0.4, so the density of the rank is rank^-0.6. */
const followsOf = ({ users, follows }: Sizes) => `
  insert into social.follows (follower_id, followee_id)
  select distinct follower, followee from (
    select 1 + floor(random() * ${users})::bigint as follower, 1 + floor(power(random(), 2.5) * ${users})::bigint as followee
    from generate_series(1, ${follows})
  ) pairs where follower <> followee`

/** The first four fifths of each inbox are seen and read. */
const inboxesOf = ({ users, notifications }: Sizes) => `
  insert into notify.inbox (user_id, modseq, era, unread_count, unseen_count, acked_modseq, seen_modseq)
  select i, n, n / 8, n - n * 4 / 5, n - n * 4 / 5, n * 4 / 5, n * 4 / 5
  from (
    select i, round(${notifications} * power(i, -0.6) / sum(power(i, -0.6)) over ())::bigint as n
    from generate_series(1, ${users}) i
  ) sizes`

/** Inserts in order of time, as in real use, so that the notifications of one user are on different pages. */
const numbered = `
  from (
    select i.*, k from notify.inbox i cross join lateral generate_series(1, i.modseq) k order by i.modseq - k desc, i.user_id
  ) i`

const notificationsOf = ({ users }: Sizes) => `
  insert into notify.notifications (user_id, id, modseq, grown_modseq, type, data, group_key, thread_key, object_type, object_id,
    actor_ids, actor_count, created_at, updated_at, delivered_at, read_at, closed_at, expires_at)
  select i.user_id, k, k, k, 'post.liked', jsonb_build_object('postId', k::text), 'post.liked:' || k, 'post:' || k, 'post', k::text,
    array[actor], 1, at, at, handled, handled, handled, now() + interval '90 days' - (i.modseq - k) * interval '1 second'
  ${numbered}
  cross join lateral (
    select now() - (i.modseq - k) * interval '1 second' as at, case when k <= i.seen_modseq then now() end as handled,
      1 + (i.user_id + k) % ${users} as actor
  ) v`

const sourcesOf = ({ users }: Sizes) => `
  insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision)
  select i.user_id, 'like:' || k || ':' || actor, 0, k, actor, true, true, 'shown'
  ${numbered}
  cross join lateral (select 1 + (i.user_id + k) % ${users} as actor) v`

/** `node bench/generate.ts <database url> [--users n --follows n --notifications n]` */
if (import.meta.main) {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      users: { type: 'string', default: '1000000' },
      follows: { type: 'string', default: '5000000' },
      notifications: { type: 'string', default: '10000000' },
    },
  })
  const [url] = positionals
  if (!url) throw new Error('specify the empty database to fill: node bench/generate.ts postgres://…')
  const sizes = {
    users: Number(values.users),
    follows: Number(values.follows),
    notifications: Number(values.notifications),
  }
  await generate(url, sizes, console.log)
}

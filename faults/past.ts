import pg from 'pg'

/** Size of the past: events that every consumer has read, and notifications with one source each. */
export type Past = { events: number; notifications: number }

/** Users and posts of the past have ids above this one. Those that a test or benchmark creates have ids below it. */
export const FIRST_ID = 100_000_000
/** Notifications per user of the past. */
export const INBOX = 50

/**
 * Gives a fresh database a past, as if it had run for some days: users with full inboxes, and processed events in the current
 * partition of the log. Call it before any process uses the database. It takes seconds per million rows. All counts are correct
 * (`ops.count_drift` is empty). Users of the past do nothing later.
 */
export async function makePast(url: string, { events, notifications }: Past): Promise<void> {
  const people = Math.ceil(notifications / INBOX)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  // The replica role skips the checks of foreign keys. Commits need not wait for the disk, because nobody reads yet.
  await client.query('set session_replication_role = replica; set synchronous_commit = off')
  if (people > 0) {
    await client.query(peopleOf(people))
    await client.query(inboxesOf(people))
    await client.query(notificationsOf(people))
    await client.query(sourcesOf(people))
  }
  if (events > 0) {
    await client.query(eventsOf(events, Math.max(people, 1)))
    await client.query('update notify.positions set done = pg_current_snapshot()')
  }
  await client.query('reset session_replication_role')
  await client.query(
    'vacuum (analyze) notify.outbox, notify.inbox, notify.notifications, notify.sources, notify.positions',
  )
  await client.query('vacuum (analyze) social.users, social.posts')
  await client.end()
}

const peopleOf = (people: number) => `
  insert into social.users (id, username, email, password_hash, display_name, post_count)
  overriding system value
  select i, 'past_' || i, 'past_' || i || '@example.org', '-', 'Past ' || i, 1
  from generate_series(${FIRST_ID} + 1, ${FIRST_ID} + ${people}) i;
  insert into social.posts (id, author_id, body)
  overriding system value
  select i, i, 'A post of the past' from generate_series(${FIRST_ID} + 1, ${FIRST_ID} + ${people}) i`

/** Four fifths of each inbox are seen and read. */
const READ = Math.floor((INBOX * 4) / 5)

const inboxesOf = (people: number) => `
  insert into notify.inbox (user_id, modseq, era, unread_count, unseen_count, acked_modseq, seen_modseq)
  select i, ${INBOX}, ${INBOX} / 8, ${INBOX - READ}, ${INBOX - READ}, ${INBOX}, ${READ}
  from generate_series(${FIRST_ID} + 1, ${FIRST_ID} + ${people}) i`

/** Inserts in order of time, as in real use, so that the notifications of one user are on different pages. */
const notificationsOf = (people: number) => `
  insert into notify.notifications (user_id, id, modseq, grown_modseq, type, title, actor_ids, actor_count,
    created_at, updated_at, delivered_at, read_at, expires_at)
  select i, k, k, k, 'system', 'A notice of the past', '{}', 0, at, at, at, case when k <= ${READ} then at end, at + interval '90 days'
  from generate_series(1, ${INBOX}) k, generate_series(${FIRST_ID} + 1, ${FIRST_ID} + ${people}) i,
    lateral (select now() - interval '6 days' + k * interval '2 hours') t (at)`

const sourcesOf = (people: number) => `
  insert into notify.sources (user_id, source_id, event_id, notification_id, live, notified, decision, decided_at)
  select i, 'past:' || k, 0, k, true, true, 'shown', now() - interval '6 days' + k * interval '2 hours'
  from generate_series(1, ${INBOX}) k, generate_series(${FIRST_ID} + 1, ${FIRST_ID} + ${people}) i`

/**
 * The events come from as many transactions as the cluster has had. Each hundredth is critical, and each tenth moves counters. They are
 * younger than a tenth of the retention period: the worker would end the partition of older ones, by drawing its remaining ids.
 */
const eventsOf = (events: number, people: number) => `
  insert into notify.outbox (xid, critical, counted, action, source_id, type, recipient_id, created_at)
  select (3 + i % (xmin - 3))::text::xid8, i % 100 = 0, i % 10 = 0, 'past', 'past:' || i, 'system', ${FIRST_ID} + 1 + i % ${people}, now() - interval '12 hours'
  from generate_series(1, ${events}) i, (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint) s (xmin)`

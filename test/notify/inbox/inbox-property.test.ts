import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import type { App } from '../../../src/app.ts'
import { acknowledge } from '../../../src/notify/inbox/acknowledge.ts'
import { archive, markRead, markSeen, markUnread, remove, unarchive } from '../../../src/notify/inbox/mark.ts'
import { readStats } from '../../../src/notify/inbox/stats.ts'
import { loadShown, type NotificationRow, notificationColumns, toNotification } from '../../../src/notify/inbox/view.ts'
import { purge } from '../../../src/worker/retention.ts'
import { sized } from '../../size.ts'
import { drift, fillInbox, follow, inboxApp, like, makePost, makeUsers } from '../dispatch/events.ts'
import { catchUp, emptyHand, foldedItems, listedItems } from '../dispatch/fold-client.ts'

const operations = { markRead, markUnread, archive, unarchive, remove }

/** Random actions. Notifications are chosen by their position in the client's list. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('like'), post: fc.nat(2), actor: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unlike'), post: fc.nat(2), actor: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('follow'), actor: fc.nat(3) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('markRead', 'markUnread', 'archive', 'unarchive', 'remove'),
      picks: fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('markRead', 'archive', 'remove'),
      upTo: fc.integer({ min: 0, max: 100 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('seen', 'ack'), upTo: fc.integer({ min: 0, max: 100 }) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

t.test(
  'for any actions, states have no gaps, counts are right, folded changes equal the list, and the journal has each state',
  async (t) => {
    const app = await inboxApp(t)
    await app.pool.query('select notify.set_journal(true)')

    const play = async (steps: Step[], limit: number) => {
      const [me = '', ...actors] = await makeUsers(app, ['Me', 'Ana', 'Ben', 'Cem', 'Dot'])
      const posts = [await makePost(app, me), await makePost(app, me), await makePost(app, me)]
      const held = emptyHand()
      const lists = new Map<number, object[]>()
      for (const now of steps) {
        const before = held.modseq
        const updated = await perform(now, me, actors, posts, [...held.items.keys()], before)
        const changed = await catchUp(app, me, held, limit)
        assert.equal(changed, held.modseq - before, 'every state is one change')
        if (updated !== null) assert.equal(updated, changed)
        const listed = await listedItems(app, me)
        assert.deepEqual(foldedItems(held), listed)
        lists.set(held.modseq, listed)
      }
      for (const [modseq, listed] of lists)
        assert.deepEqual(await itemsAsOf(app, me, modseq), listed, `as of ${modseq}`)
      const fromTheStart = emptyHand()
      await catchUp(app, me, fromTheStart, limit)
      assert.deepEqual(foldedItems(fromTheStart), foldedItems(held))
      assert.deepEqual(await drift(app, [me]), [])
      const { byState } = await readStats(app.pool, me)
      assert.deepEqual([byState.unread, byState.unseen], [held.unreadCount, held.unseenCount])
    }

    const perform = async (
      now: Step,
      me: string,
      actors: string[],
      posts: string[],
      held: string[],
      modseq: number,
    ): Promise<number | null> => {
      const actorId = actors['actor' in now ? now.actor : 0] ?? ''
      const postId = posts['post' in now ? now.post : 0] ?? ''
      if (now.kind === 'like') await like(app, { postId, actorId, recipientId: me })
      else if (now.kind === 'unlike') await like(app, { postId, actorId, recipientId: me, retracts: true })
      else if (now.kind === 'follow') await follow(app, actorId, me)
      else if ('upTo' in now) {
        const upTo = Math.round((now.upTo * modseq) / 100)
        if (now.kind === 'ack') await acknowledge(app.pool, [{ userId: me, modseq: upTo }], 'soon')
        else if (now.kind === 'seen') return (await markSeen(app, me, upTo)).updated
        else return (await operationOf(now.kind)(app, me, { upTo })).updated
      } else if ('picks' in now) {
        const ids = now.picks.flatMap((pick) => held[pick % Math.max(held.length, 1)] ?? [])
        return (await operationOf(now.kind)(app, me, { ids })).updated
      }
      return null
    }

    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), fc.integer({ min: 1, max: 4 }), play),
      { numRuns: sized(40, 15) },
    )
  },
)

t.test(
  'the journal costs nothing while it is off, refuses states that it lacks, and is deleted after its retention and with the user',
  async (t) => {
    const app = await inboxApp(t)
    const { pool } = app
    const triggers = async () =>
      (await pool.query(`select tgname from pg_trigger where tgfoid = 'notify.keep_former'::regproc order by 1`))
        .rowCount
    const [me = '', ana = '', ben = ''] = await makeUsers(app, ['Me', 'Ana', 'Ben'])
    const rows = async () => Number((await pool.query('select count(*) from notify.journal')).rows[0].count)
    t.equal(await triggers(), 0, 'no trigger exists')
    await follow(app, ana, me)
    await markRead(app, me, { ids: ['1'] })
    t.equal(await rows(), 0)
    await pool.query('select notify.set_journal(true)')
    t.equal(await triggers(), 4)
    t.match(await itemsAsOf(app, me, 2), [{ id: '1', readAt: String }], 'the state at which it began')
    await t.rejects(itemsAsOf(app, me, 1), { code: '55000' }, 'and none before')
    await markUnread(app, me, { ids: ['1'] })
    await follow(app, ben, me)
    await remove(app, me, { ids: ['1'] })
    t.match(await itemsAsOf(app, me, 2), [{ id: '1', readAt: String }])
    t.match(await itemsAsOf(app, me, 4), [{ id: '1', readAt: null }, { id: '4' }])
    t.match(await itemsAsOf(app, me, 5), [{ id: '4' }])
    for (const state of ['nowhere.1', '', `${await epochOf(app)}.6`])
      await t.rejects(pool.query('select notify.inbox_as_of($1, $2)', [me, state]), { code: '22023' }, state)
    t.equal(await rows(), 3, 'a version for the change, and two rows for the removal; new notifications leave none')

    await pool.query(`update notify.journal set at = now() - interval '31 days' where until = 3`)
    await purge(app)
    t.equal(await rows(), 2)
    await t.rejects(itemsAsOf(app, me, 2), { code: '55000' }, 'older than the retention')
    t.match(await itemsAsOf(app, me, 3), [{ id: '1', readAt: null }])
    await pool.query('select notify.set_journal(false)')
    t.equal(await triggers(), 0)
    await markRead(app, me, { ids: ['4'] })
    await t.rejects(itemsAsOf(app, me, 5), { code: '55000' }, 'a change since then was not kept')
    const { rows: audit } = await pool.query('select action, after from notify.audit order by id')
    t.same(audit, [
      { action: 'journal.switch', after: { enabled: true } },
      { action: 'journal.switch', after: { enabled: false } },
    ])
  },
)

/** `PRICE=true` prints the table of docs/operations.md. */
t.test('what the journal costs', { skip: !process.env.PRICE && 'a measurement' }, async (t) => {
  const app = await inboxApp(t)
  const { pool } = app
  const [users, each] = [30, 500]
  const run = async (name: string) => {
    const ids = await makeUsers(
      app,
      Array.from({ length: users }, (_, place) => `${name} ${place}`),
    )
    const upTo = { upTo: Number.MAX_SAFE_INTEGER }
    const steps: Record<string, (id: string) => Promise<unknown>> = {
      created: (id) => fillInbox(app, id, each),
      'marked as read': (id) => markRead(app, id, upTo),
      removed: (id) => remove(app, id, upTo),
    }
    const lines: string[] = []
    for (const [step, work] of Object.entries(steps)) {
      const before = await spent(pool)
      for (const id of ids) await work(id)
      const after = await spent(pool)
      const per = (value: number) => Math.round(value / users / each)
      lines.push(`| ${step} | ${name} | ${per(after.cpuUs - before.cpuUs)} µs | ${per(after.wal - before.wal)} B |`)
    }
    return lines
  }
  await run('warm')
  const off = await run('off')
  await pool.query('select notify.set_journal(true)')
  await run('warm again')
  for (const line of [...off, ...(await run('on'))].sort()) t.comment(line)
})

/** CPU time of all backends on this database, as Linux counts it in hundredths of a second, and WAL so far. */
async function spent(pool: App['pool']): Promise<{ cpuUs: number; wal: number }> {
  const { rows } = await pool.query<{ pid: number; wal: string }>(
    `select pid, pg_current_wal_insert_lsn() - '0/0' as wal from pg_stat_activity where datname = current_database()`,
  )
  const ticks = rows.map(({ pid }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return Number(fields[11]) + Number(fields[12])
  })
  return { cpuUs: ticks.reduce((sum, one) => sum + one, 0) * 10_000, wal: Number(rows[0]?.wal) }
}

async function epochOf({ pool }: App): Promise<string> {
  return (await pool.query('select epoch from notify.installation')).rows[0].epoch
}

/** As `listedItems` had them in this state. */
async function itemsAsOf(app: App, userId: string, modseq: number): Promise<object[]> {
  const { rows } = await app.pool.query<NotificationRow & { seen: boolean }>(
    `select ${notificationColumns}, v.seen
     from notify.inbox_as_of($1, $2) v, jsonb_populate_record(null::notify.notifications, v.notification) n
     where not v.filtered order by v.id`,
    [userId, `${await epochOf(app)}.${modseq}`],
  )
  const shown = await loadShown(app, rows)
  return rows.map((row) => {
    const { deliveredAt: _, ...rest } = toNotification(row, shown, 0)
    return { ...rest, seen: row.seen }
  })
}

function operationOf(kind: string) {
  const found = Object.entries(operations).find(([name]) => name === kind)
  if (!found) throw new Error(`no operation ${kind}`)
  return found[1]
}

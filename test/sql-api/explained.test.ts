import { test } from 'tap'
import { sendDeliveries } from '../../src/notify/channels/send.ts'
import type { Preferences } from '../../src/notify/preferences/document.ts'
import { storePreferences } from '../../src/notify/preferences/store.ts'
import { flushWindows } from '../../src/notify/windows/flush.ts'
import { block, mute, muteThread } from '../../src/social/blocks/write.ts'
import { inboxApp, like, makePost, makeUsers } from '../notify/dispatch/events.ts'

type People = { ana: string; ben: string; post: string; prefer(document: Preferences): Promise<void> }
/** What keeps Ana from a like of Ben's, what became of it by her timeline, and the rule that is named there. */
type Case = [what: string, by: string | null, keep: (people: People) => Promise<unknown>]

for (const waits of [false, true])
  test(`every cause that suppresses a notification${waits ? ' when its window ends' : ''} is stored as decision, without an error`, async (t) => {
    const app = await inboxApp(t)
    const { pool } = app
    const requestId = 'test'
    const byPush = { types: { 'post.liked': { webPush: true } } }
    const cases: Case[] = [
      ['suppressed', 'mute', ({ ana, ben }) => mute(app, ana, ben, null)],
      ['suppressed', 'threadMute', ({ ana, post }) => muteThread(app, ana, post)],
      ['suppressed', 'typePreference', ({ prefer }) => prefer({ types: { 'post.liked': { inApp: false } } })],
      ['suppressed', 'channelPreference', ({ prefer }) => prefer({ channels: { inApp: false } })],
      ['suppressed', 'block', ({ ana, ben }) => block(app, { userId: ben, otherId: ana, requestId })],
      [
        'object_gone',
        null,
        ({ post }) => pool.query('update social.posts set deleted_at = now() where id = $1', [post]),
      ],
      ['suppressed', 'strangers', ({ prefer }) => prefer({ policy: { strangers: 'drop' } })],
      ['filtered', 'strangers', ({ prefer }) => prefer({ ...byPush, policy: { strangers: 'filter' } })],
      ['filtered', 'channelPreference', ({ prefer }) => prefer({ ...byPush, channels: { inApp: false } })],
    ]
    if (waits)
      await pool.query(`update notify.types set instant_threshold = 0, window_seconds = 60 where type = 'post.liked'`)
    for (const [what, by, keep] of cases) {
      const [ana = '', ben = ''] = await makeUsers(app, ['ana', 'ben'])
      if (what === 'filtered')
        await pool.query(`update notify.inbox set reachable_by = '{webPush}' where user_id = $1`, [ana])
      const post = await makePost(app, ana)
      const people = { ana, ben, post, prefer: (document: Preferences) => storePreferences(pool, ana, document) }
      const likeAgain = () => like(app, { postId: post, actorId: ben, recipientId: ana })
      if (waits) await likeAgain()
      await keep(people)
      if (!waits) await likeAgain()
      await pool.query('update notify.windows set due_at = now()')
      await flushWindows(app)
      const { rows } = await pool.query(
        'select what, decided_by from notify.timeline($1) where source_id is not null',
        [ana],
      )
      t.same(rows, [{ what, decided_by: by }], `${what} by ${by}`)
      if (what !== 'filtered') continue
      const why = await pool.query(
        `select channel, w.decision, w.decided_by from notify.notifications n, notify.why(n.user_id, n.id) w where n.user_id = $1`,
        [ana],
      )
      const ofPush = by === 'strangers' ? ['suppress', 'strangers'] : ['allow', 'typePreference']
      t.match(why.rows, [
        { channel: 'inApp', decision: 'suppress', decided_by: by },
        { channel: 'email', decision: 'suppress' },
        { channel: 'webPush', decision: ofPush[0], decided_by: ofPush[1] },
      ])
    }
    await pool.query(
      `insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, due_at)
       select user_id, id, 'webPush', 'browser', 1, now() from notify.notifications`,
    )
    await sendDeliveries({ ...app, senders: { email: null, webPush: null } })
    const failed = await pool.query(
      `select state from notify.deliveries where state in ('failed', 'bounced', 'queued') union all select event from notify.delivery_log where event = 'failed'`,
    )
    t.same(failed.rows, [], 'what cannot or may not be sent is skipped')
  })

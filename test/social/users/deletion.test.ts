import t from 'tap'
import { vapid } from '../../notify/channels/push-service.ts'
import { settled } from '../../settled.ts'
import { setup } from '../../setup.ts'
import { uploaded } from '../media/files.ts'

const POINT = 'BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU'

/** Columns that name a user as the owner, or the other side, of a row. */
const USERS = `'user_id', 'other_id', 'author_id', 'owner_id', 'follower_id', 'followee_id'`

t.test(
  'of a deleted user nothing stays in any table but emptied comments above replies, and sessions whose tokens are refused',
  async (t) => {
    const system = await setup(t, { env: vapid, worker: true, windowSeconds: 0 })
    const { as, pool, url } = system
    const [ana, ben] = [await as('ana'), await as('ben')]
    for (const [one, other] of [
      [ana, ben],
      [ben, ana],
    ] as const) {
      const { id } = await one.post(`Hello @${other.username}`)
      const comment = await other.comment(id, 'Well said')
      await one.comment(id, 'Thanks', comment.id)
      await other.like(id)
      await other.follow(one.id)
      await one.request('POST', '/posts', { body: 'Look', mediaIds: [await uploaded(url, one)] })
      await one.request('PATCH', `/users/${one.id}`, { avatarMediaId: await uploaded(url, one) })
      await one.request('PUT', '/notifications/preferences', { channels: { email: false } })
      const keys = { p256dh: POINT, auth: 'a'.repeat(22) }
      await one.request('POST', '/push/subscriptions', { endpoint: `https://push.example.org/${one.id}`, keys })
      for (const path of [`/posts/${id}/bookmark`, `/posts/${id}/mute`, `/users/${one.id}/mute`])
        await other.request('PUT', path)
      await other.request('PUT', `/users/${one.id}/bell`, { enabled: true })
    }
    await settled(system, 60)
    const before = await tablesWith(ana.id)
    t.ok(before.length > 15, `rows in ${before}`)
    await pool.query('insert into social.blocks (user_id, other_id) values ($1, $2), ($2, $1)', [ana.id, ben.id])
    await ana.deleteAccount()
    await settled(system, 60)
    t.same(await tablesWith(ana.id), ['social.comments.author_id', 'social.sessions.user_id'])
    const { rows: comments } = await pool.query('select distinct body from social.comments where author_id = $1', [
      ana.id,
    ])
    t.same(comments, [{ body: '' }])
    t.ok((await tablesWith(ben.id)).includes('notify.inbox.user_id'), 'others keep what is theirs')

    async function tablesWith(userId: string): Promise<string[]> {
      const { rows: columns } = await pool.query<{ name: string; column: string }>(
        `select format('%I.%I', table_schema, table_name) as name, column_name as column
       from information_schema.columns join information_schema.tables using (table_schema, table_name)
       where table_schema in ('social', 'notify') and table_type = 'BASE TABLE' and column_name in (${USERS}) order by 1, 2`,
      )
      const found: string[] = []
      for (const { name, column } of columns)
        if ((await pool.query(`select from ${name} where ${column} = $1`, [userId])).rowCount)
          found.push(`${name}.${column}`)
      return found
    }
  },
)

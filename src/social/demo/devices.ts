import type { App } from '../../app.ts'
import { lockName } from '../../db/named-lock.ts'
import { inTransaction } from '../../db/transaction.ts'
import { insertPost } from '../posts/write.ts'
import { befriend, makeUsers } from './crowd.ts'

/** Two friends with a post each. Created on the first call and reused after that. */
export async function twoDevices(app: App, requestId: string): Promise<string[]> {
  return inTransaction(app.pool, async (trx) => {
    await lockName(trx, 'demo devices')
    const { rows } = await trx.query<{ id: string }>(
      `select u.id from social.demo_users d join social.users u on u.id = d.user_id and u.deleted_at is null
       where d.kind = 'device' order by u.id limit 2`,
    )
    if (rows.length === 2) return rows.map(({ id }) => id)
    const [ana = '', ben = ''] = await makeUsers(trx, 'device', ['Ana Silva', 'Ben Okafor'])
    await befriend(trx, [ben], ana, requestId)
    const write = (userId: string, body: string) => insertPost(trx, { userId, requestId }, body, [])
    await write(ben, 'Which ferry do you take to the island, the one at eight or the one at nine?')
    await write(ana, 'Good morning from the harbour. The fog is so thick that the gulls walk.')
    return [ana, ben]
  })
}

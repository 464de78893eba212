import type { Kysely } from 'kysely'
import type pg from 'pg'
import type { DB } from '../../db/tables.ts'
import { toUser, type UserRow, userColumns } from '../users/view.ts'
import type { ExternalUserView } from './fields.ts'

/** Finds the user with an external id; undefined when there is none. */
export async function findIdOf(db: Kysely<DB>, externalId: string): Promise<string | undefined> {
  const found = await db.selectFrom('social.users').select('id').where('externalId', '=', externalId).executeTakeFirst()
  return found?.id
}

/** Reads users in the order of the external ids. With `viewerId` null, the result does not depend on a viewer. */
export async function readExternalUsers(
  pool: pg.Pool,
  externalIds: string[],
  viewerId: string | null,
): Promise<ExternalUserView[]> {
  const { rows } = await pool.query<UserRow & { externalId: string }>({
    name: 'external_users',
    text: `select u.external_id as "externalId", ${userColumns('$2::bigint')}
           from unnest($1::text[]) with ordinality e (id, place) join social.users u on u.external_id = e.id
           order by e.place`,
    values: [externalIds, viewerId],
  })
  return rows.map(({ externalId, ...row }) => ({ ...toUser(row), externalId }))
}

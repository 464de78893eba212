import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { build, run } from '../../db/kysely.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { Reauthentication, Role, roleOf } from '../../http/identity.ts'
import { cutPage, decodeCursor, PageQuery, pageOf } from '../../http/paging.ts'
import { audited } from '../../notify/audit/audited.ts'
import { Id } from '../../protocol/id.ts'

const RoleChange = Type.Object({ role: Role, ...Reauthentication }, { additionalProperties: false })
const Holder = Type.Object({ id: Id, username: Type.String(), displayName: Type.String(), role: Role })

/**
 * Routes to list and change the roles of the console. A higher role applies from the next sign-in or refresh, a lower one at
 * once.
 */
export function roleRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/admin/roles',
      {
        config: { role: 'reader' },
        schema: {
          tags: ['admin'],
          summary: 'List the readers, operators and admins',
          description: 'Users whose role is not `user`.',
          answers: { 200: 'A page of users with their roles' },
          querystring: PageQuery,
          response: { 200: pageOf(Holder) },
        },
      },
      async ({ query: { limit = 20, cursor } }) => {
        const [after = '0'] = decodeCursor(cursor, 1) ?? []
        const found = await app.db
          .selectFrom('social.users')
          .select(['id', 'username', 'displayName', 'role'])
          .where('role', '<>', 'user')
          .where('deletedAt', 'is', null)
          .where('id', '>', String(after))
          .orderBy('id')
          .limit(limit + 1)
          .execute()
        const { items, nextCursor } = cutPage(found, limit, (last) => [last.id])
        return { items: items.map((row) => ({ ...row, role: roleOf(row.role) })), nextCursor }
      },
    )

    server.put(
      '/admin/users/:id/role',
      {
        config: { role: 'admin', reauthenticates: true },
        schema: {
          tags: ['admin'],
          summary: 'Change the role of a user',
          description:
            'Nobody changes their own role. A lower role applies at once, a higher one from the next sign-in or refresh.',
          answers: { 200: 'The new role' },
          errors: ['USER_NOT_FOUND', 'CANNOT_CHANGE_OWN_ROLE'],
          params: Type.Object({ id: Id }),
          body: RoleChange,
          response: { 200: Type.Object({ role: Role }) },
        },
      },
      async (request) => {
        const {
          params: { id },
          body: { role },
          user: { userId },
        } = request
        if (id === userId) throw fail('CANNOT_CHANGE_OWN_ROLE', 'Another admin can change it')
        await inTransaction(app.pool, async (trx) => {
          const before = await changeRole(trx, userId, id, role)
          const target = `user:${id}`
          await audited(trx, request, { action: 'user.change_role', target, before: { role: before }, after: { role } })
        })
        return { role }
      },
    )
  }
}

/** Changes a role and returns the former one. Locks both users, so that two admins who demote each other cannot both succeed. */
async function changeRole(trx: pg.ClientBase, adminId: string, userId: string, role: Role): Promise<string> {
  const { rows } = await trx.query<{ id: string; role: string }>(
    `select id, role from social.users where id in ($1::bigint, $2::bigint) and deleted_at is null
     order by id for no key update`,
    [adminId, userId],
  )
  const roles = new Map(rows.map((row) => [row.id, row.role]))
  if (roles.get(adminId) !== 'admin') throw fail('FORBIDDEN')
  const before = roles.get(userId)
  if (before === undefined) throw fail('USER_NOT_FOUND')
  await run(trx, build.updateTable('social.users').set({ role }).where('id', '=', userId))
  return before
}

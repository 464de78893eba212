import type pg from 'pg'
import { decodeCursor, encodeCursor } from '../../http/paging.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import type { Page } from './lists.ts'
import { toUser, type UserRow, userColumns } from './view.ts'

export type SearchRequest = { text: string; viewerId: string; limit: number; cursor: string | undefined }

/**
 * Users whose username begins with the text, then by display name, then those with it anywhere in a name (three
 * characters or more). An index reads each rank in its own order. The next rank is read only when the page is not full.
 */
export async function searchUsers(pool: pg.Pool, { text, viewerId, limit, cursor }: SearchRequest): Promise<Page> {
  const [firstRank = 0, afterId = null] = decodeCursor(cursor, 2)?.map(Number) ?? []
  const found: (UserRow & { rank: number })[] = []
  for (let rank = firstRank; rank < ranks.length && found.length <= limit; rank += 1) {
    if (rank === PART && [...text].length < SHORTEST_PART) break
    const { rows } = await pool.query<UserRow>({
      name: `search_users_${rank}`,
      text: ranks[rank] ?? '',
      values: [viewerId, likePattern(text), rank === firstRank ? afterId : null, limit + 1 - found.length],
    })
    found.push(...rows.map((row) => ({ ...row, rank })))
  }
  const items = found.slice(0, limit)
  const last = items.at(-1)
  return {
    items: items.map(({ rank: _, ...row }) => toUser(row)),
    nextCursor: found.length > limit && last ? encodeCursor([last.rank, last.id]) : null,
  }
}

/** Minimum length for the trigram indexes. */
const SHORTEST_PART = 3
/** The rank that a trigram index serves. */
const PART = 2
/** Maximum matches examined for this rank. */
const MOST_PARTS = 1000

const name = `u.username collate "C"`
const displayName = `lower(u.display_name) collate "C"`
/** Users that the viewer may find. */
const visible = `u.deleted_at is null and ${unblocked('$1::bigint', 'u.id')}`
/** SQL of the sort key of the previous page's last user. */
const after = (column: string) => `(select ${column} from social.users u where u.id = $3::bigint)`

/** `$2` is the escaped text in lower case. */
const ranks = [
  `select ${userColumns('$1::bigint')} from social.users u
   where ${visible} and ${name} like $2 || '%' and ($3::bigint is null or ${name} > ${after(name)})
   order by ${name} limit $4`,

  `select ${userColumns('$1::bigint')} from social.users u
   where ${visible} and ${displayName} like $2 || '%' and ${name} not like $2 || '%'
     and ($3::bigint is null or (${displayName}, u.id) > (${after(displayName)}, $3::bigint))
   order by ${displayName}, u.id limit $4`,

  `select ${userColumns('$1::bigint')} from (
     select p.id from social.users p
     where p.deleted_at is null and (p.username like '%' || $2 || '%' or lower(p.display_name) like '%' || $2 || '%')
     limit ${MOST_PARTS}
   ) part join social.users u on u.id = part.id
   where ${visible} and ${name} not like $2 || '%' and ${displayName} not like $2 || '%' and u.id > coalesce($3::bigint, 0)
   order by u.id limit $4`,
]

function likePattern(text: string): string {
  return text.toLowerCase().replace(/[\\%_]/g, '\\$&')
}

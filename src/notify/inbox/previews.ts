import { type ColumnsOf, columns, hiddenIds } from '../../db/columns.ts'
import { unblocked } from '../rules/silences.ts'
import type { TypeLookup } from '../types/types.ts'

/** Maximum length of a preview in UTF-16 code units. */
export const LONGEST_BEGINNING = 200

/** Preview of a post or comment in a notification: the beginning of its text and its first picture. */
export type Preview = { text: string | null; mediaId: string | null; authorId: string }

/** Input for the preview of one notification. */
export type Previewed = {
  recipientId: string
  type: string
  data: Record<string, unknown>
  /** True if the policy for strangers hides the notification, which then has no preview. */
  fromStrangers: boolean
}

/** Returns the preview of a notification, or null if it has none. */
export type Previews = (of: Previewed) => Preview | null

/** `values`: the parameters of `previewRows[of]`. `from` takes the rows. */
type Reading = { of: keyof typeof previewRows; values: unknown[]; from(rows: PreviewRow[]): Previews }

/**
 * How to read the previews of these notifications. No copy of a text exists, so a deleted text disappears everywhere, and
 * after an edit devices only read again (`showAnewChunk`). Omits content that a block hides from the recipient.
 */
export function previewsOf(types: TypeLookup, all: Previewed[]): Reading {
  const wanted = all.flatMap((of) => {
    const object = previewedBy(of, types)
    return object ? [{ ...object, of }] : []
  })
  const idsOf = (kind: Kind) => [...new Set(wanted.filter((one) => one.kind === kind).map(({ id }) => id))]
  // Likes show the recipient's own post, which no block hides.
  const byOthers = wanted.filter(({ of }) => of.type !== 'post.liked')
  const ofOthers = () => [
    idsOf('comment'),
    ...shown.post.values(byOthers.filter(({ kind }) => kind === 'post')),
    ...shown.comment.values(byOthers.filter(({ kind }) => kind === 'comment')),
  ]
  return {
    of: byOthers.length > 0 ? 'everyone' : 'recipients',
    values: [idsOf('post'), ...(byOthers.length > 0 ? ofOthers() : [])],
    from(rows) {
      const previews = new Map<string, Preview>()
      const hidden = new Set<string>()
      for (const { kind, id, authorId, text, mediaId, hiddenFrom } of rows)
        if (hiddenFrom !== null) hidden.add(`${hiddenFrom} ${kind}:${id}`)
        else previews.set(`${kind}:${id}`, { text: beginningOf(text), mediaId, authorId })
      return (of) => {
        const found = previewedBy(of, types)
        if (!found) return null
        const object = `${found.kind}:${found.id}`
        return hidden.has(`${of.recipientId} ${object}`) ? null : (previews.get(object) ?? null)
      }
    },
  }
}

export type Kind = 'post' | 'comment'

/** A post or comment with the beginning of its text; with `hiddenFrom`, only that a block hides it from this user. */
export type PreviewRow = {
  kind: Kind
  id: string
  authorId: string
  text: string
  mediaId: string | null
  hiddenFrom: string | null
}

/**
 * Finds the post or comment whose text a notification shows. A group of comments shows the latest comment; other
 * notifications show their comment, or else their post.
 */
function previewedBy({ type, data, fromStrangers }: Previewed, types: TypeLookup): { kind: Kind; id: string } | null {
  if (!types(type).social || fromStrangers) return null
  const { commentId, postId } = data ?? {}
  if (isId(commentId)) return { kind: 'comment', id: commentId }
  return isId(postId) && !type.startsWith('comment.') ? { kind: 'post', id: postId } : null
}

const isId = (id: unknown): id is string => typeof id === 'string' && /^[1-9]\d{0,17}$/.test(id)

/**
 * SQL condition for notifications `n` in the thread of a post: true for those that show this post or comment, by the
 * rule of `previewedBy`.
 */
export function showing(kind: Kind, id: string): string {
  return kind === 'comment'
    ? `n.data ->> 'commentId' = ${id}`
    : `n.data ->> 'commentId' is null and n.type not like 'comment.%'`
}

const beginning = (row: 'p' | 'c') => `left(${row}.body, ${LONGEST_BEGINNING + 1})`

type Shown = { of: Previewed; id: string }

const shownColumns: ColumnsOf<Shown> = {
  recipient_id: ['bigint', ({ of }) => of.recipientId],
  id: ['bigint', ({ id }) => id],
}
const shown = {
  post: columns(shownColumns, { first: 4, hidden: true }),
  comment: columns(shownColumns, { first: 6, hidden: true }),
}

const hiddenFrom = (table: Kind) => `
  select '${table}', w.id, null, null, null, w.recipient_id
  from ${shown[table].from}
  join social.${table}s o on o.id = w.id
  where o.author_id <> w.recipient_id and not (${unblocked('w.recipient_id', 'o.author_id')})`

const ofPosts = `
  select 'post' as kind, p.id, p.author_id as "authorId", ${beginning('p')} as text,
    (select m.id from social.media m join social.media_contents c on c.id = m.content_id
     where m.post_id = p.id and c.mime like 'image/%' order by m.position limit 1) as "mediaId",
    null::bigint as "hiddenFrom"
  from social.posts p where p.id = any(${hiddenIds('$2')}) and p.deleted_at is null`

/**
 * SQL of the PreviewRows, from the parameters $2 to $7, or from $2 if all are the recipients' own posts, as in most
 * frames: then PostgreSQL needs 40 µs less (of 140).
 */
export const previewRows = {
  recipients: ofPosts,
  everyone: `${ofPosts}
  union all
  select 'comment', c.id, c.author_id, ${beginning('c')}, null, null
  from social.comments c join social.posts p on p.id = c.post_id and p.deleted_at is null
  where c.id = any(${hiddenIds('$3')}) and c.deleted_at is null
  union all ${hiddenFrom('post')}
  union all ${hiddenFrom('comment')}`,
}

/** Maximum distance from the end in which a space is searched. Not every script has spaces. */
const SHORTEST_CUT = 120
/** From this code point on, characters can join the following one (Grapheme_Cluster_Break=Prepend of UAX #29). */
const FIRST_PREPEND = 0x600

const words = new Intl.Segmenter('und', { granularity: 'word' })
const characters = new Intl.Segmenter('und', { granularity: 'grapheme' })

/**
 * The preview of a text: at most 200 characters, cut at a word if possible, and never inside a visible character. Null
 * when there is nothing to show.
 * @param text may already be cut after 201 code points
 */
export function beginningOf(text: string): string | null {
  const shown = text.length <= LONGEST_BEGINNING ? text : text.slice(0, lastSpace(text) ?? lastBoundary(text))
  return shown.trimEnd() || null
}

/** A quick test that suffices for most texts, a hundred times cheaper than segmenting. */
function lastSpace(text: string): number | undefined {
  for (let at = LONGEST_BEGINNING; at >= SHORTEST_CUT; at--)
    if (/\s/.test(text.charAt(at)) && text.charCodeAt(at - 1) < FIRST_PREPEND) return at
  return undefined
}

function lastBoundary(text: string): number | undefined {
  const whole = new Set(startsOf(characters, text))
  const last = (found: number[]) => found.filter((at) => at <= LONGEST_BEGINNING && whole.has(at)).at(-1)
  return last(startsOf(words, text)) || last([...whole])
}

function startsOf(segmenter: Intl.Segmenter, text: string): number[] {
  return [...segmenter.segment(text)].map(({ index }) => index)
}

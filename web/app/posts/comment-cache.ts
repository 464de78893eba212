import { type InfiniteData, type QueryClient, useQueryClient } from '@tanstack/react-query'
import type { Comment } from 'ravenpost-client'
import { useRavenpost } from 'ravenpost-client/react'
import { useEffect, useState } from 'react'
import type { Page } from '../api.ts'
import { useOn } from '../live.ts'

type Pages = InfiniteData<Page<Comment>, string | null>

/** Cached query of one level of a post's comments: the top level, or the replies to one comment. */
export const commentsKey = (postId: string, parentId: string | null) => ['comments', postId, parentId ?? 'top']

/** Ids of comments already counted as replies, because a comment may arrive by its response and by the socket. */
const counted = new WeakMap<QueryClient, Set<string>>()

/** Adds a new comment and counts it at its parent. Returns false when it was known and only changed. */
export function addComment(queries: QueryClient, comment: Comment): boolean {
  const { id, postId, parentId } = comment
  const known = counted.get(queries) ?? new Set()
  counted.set(queries, known)
  const level = queries.getQueryData<Pages>(commentsKey(postId, parentId))
  if (known.has(id) || level?.pages.some(({ items }) => items.some((item) => item.id === id))) {
    changeComment(queries, postId, id, () => comment)
    return false
  }
  known.add(id)
  const last = level?.pages.at(-1)
  // A level that is not loaded to its end gets the comment with its next page. A page that is being loaded may just
  // miss it.
  if (!level) fetchAgain(queries, commentsKey(postId, parentId))
  else if (last && last.nextCursor === null)
    queries.setQueryData<Pages>(commentsKey(postId, parentId), {
      ...level,
      pages: [...level.pages.slice(0, -1), { ...last, items: [...last.items, comment] }],
    })
  if (parentId !== null) countReply(queries, postId, parentId)
  return true
}

/** Cancels a fetch in progress, because its response may lack newer comments. */
function fetchAgain(queries: QueryClient, queryKey: string[]): void {
  void queries.cancelQueries({ queryKey }).then(() => queries.invalidateQueries({ queryKey }))
}

export function changeComment(queries: QueryClient, postId: string, id: string, change: (old: Comment) => Comment) {
  const changed = (comment: Comment) => (comment.id === id ? change(comment) : comment)
  queries.setQueriesData<Pages>(
    { queryKey: ['comments', postId] },
    (data) => data && { ...data, pages: data.pages.map((page) => ({ ...page, items: page.items.map(changed) })) },
  )
}

/** A deleted comment remains without text while it has replies. */
export function dropComment(queries: QueryClient, postId: string, id: string): void {
  const queryKey = ['comments', postId]
  const items = queries.getQueriesData<Pages>({ queryKey }).flatMap(([, data]) => data?.pages ?? [])
  const dropped = items.flatMap((page) => page.items).find((item) => item.id === id)
  if (!dropped) return
  const without = (all: Comment[]) =>
    all.flatMap((each) => (each.id !== id ? each : each.replyCount > 0 ? { ...each, body: '' } : []))
  queries.setQueriesData<Pages>(
    { queryKey },
    (data) => data && { ...data, pages: data.pages.map((page) => ({ ...page, items: without(page.items) })) },
  )
  if (dropped.parentId !== null && dropped.replyCount === 0) countReply(queries, postId, dropped.parentId, -1)
}

/** Shows comments of others as they arrive. Returns the ids of those that arrived while the page was open. */
export function useLiveComments(postId: string, ownId: string): ReadonlySet<string> {
  const client = useRavenpost()
  const queries = useQueryClient()
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set())
  const take = (comment: Comment) => {
    if (comment.body === '') return changeComment(queries, postId, comment.id, () => comment)
    if (addComment(queries, comment) && comment.author.id !== ownId) setFresh((old) => new Set([...old, comment.id]))
  }
  useEffect(() => client.watch({ comments: postId }), [client, postId])
  useOn('comments', (frame) => {
    if (frame.postId !== postId) return
    frame.comments.forEach(take)
    for (const id of frame.removes) dropComment(queries, postId, id)
  })
  useOn('watched', ({ comments }) => {
    if (comments === postId) fetchAgain(queries, ['comments', postId])
  })
  return fresh
}

export function countReply(queries: QueryClient, postId: string, parentId: string, by = 1): void {
  changeComment(queries, postId, parentId, (old) => ({ ...old, replyCount: Math.max(0, old.replyCount + by) }))
}

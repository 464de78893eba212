import { type InfiniteData, type QueryClient, useQueryClient } from '@tanstack/react-query'
import { useRavenpost } from 'ravenpost-client/react'
import { useEffect, useState } from 'react'
import type { Comment, Page } from '../api.ts'
import { watchIfKnown } from '../live.ts'

type Pages = InfiniteData<Page<Comment>, string | null>

/** One level of a post's comments: the first, or the replies to one. */
export const commentsKey = (postId: string, parentId: string | null) => ['comments', postId, parentId ?? 'top']

/** Puts a comment at the end of its level, unless that is not loaded to its end: then it comes with the next page. */
export function addComment(queries: QueryClient, comment: Comment): boolean {
  let added = false
  queries.setQueryData<Pages>(commentsKey(comment.postId, comment.parentId), (data) => {
    const last = data?.pages.at(-1)
    if (!data || !last || last.nextCursor !== null) return data
    if (data.pages.some(({ items }) => items.some(({ id }) => id === comment.id))) return data
    added = true
    return { ...data, pages: [...data.pages.slice(0, -1), { ...last, items: [...last.items, comment] }] }
  })
  return added
}

export function changeComment(queries: QueryClient, postId: string, id: string, change: (old: Comment) => Comment) {
  const changed = (comment: Comment) => (comment.id === id ? change(comment) : comment)
  queries.setQueriesData<Pages>(
    { queryKey: ['comments', postId] },
    (data) => data && { ...data, pages: data.pages.map((page) => ({ ...page, items: page.items.map(changed) })) },
  )
}

/** A deleted comment stays, emptied, while it has replies. */
export function dropComment(queries: QueryClient, postId: string, id: string): void {
  queries.setQueriesData<Pages>({ queryKey: ['comments', postId] }, (data) => {
    if (!data) return data
    const without = (items: Comment[]) =>
      items.flatMap((each) => (each.id !== id ? each : each.replyCount > 0 ? { ...each, body: '' } : []))
    return { ...data, pages: data.pages.map((page) => ({ ...page, items: without(page.items) })) }
  })
}

/** Comments of others as they come; the ids of those that came while the page was open. */
export function useLiveComments(postId: string, ownId: string): ReadonlySet<string> {
  const client = useRavenpost()
  const queries = useQueryClient()
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set())
  useEffect(() => {
    const take = (comment: Comment) => {
      if (!addComment(queries, comment)) return changeComment(queries, postId, comment.id, () => comment)
      if (comment.author.id !== ownId) setFresh((old) => new Set([...old, comment.id]))
      if (comment.parentId !== null) countReply(queries, postId, comment.parentId)
    }
    const stops = [
      watchIfKnown(client, { comments: postId }),
      client.on('comments', (frame) => {
        if (frame.postId !== postId) return
        frame.comments.forEach(take)
        for (const id of frame.removes) dropComment(queries, postId, id)
      }),
    ]
    return () => {
      for (const stop of stops) stop()
    }
  }, [client, queries, postId, ownId])
  return fresh
}

export function countReply(queries: QueryClient, postId: string, parentId: string, by = 1): void {
  changeComment(queries, postId, parentId, (old) => ({ ...old, replyCount: Math.max(0, old.replyCount + by) }))
}

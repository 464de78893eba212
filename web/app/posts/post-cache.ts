import { type InfiniteData, type QueryClient, useQueryClient } from '@tanstack/react-query'
import { bindQueryClient } from 'ravenpost-client/query'
import { useRavenpost } from 'ravenpost-client/react'
import { useEffect } from 'react'
import type { Post } from '../answers.ts'
import type { Page } from '../api.ts'

/** Cached lists of posts have keys that begin with `posts`, single posts with `post`. */
type Cached = InfiniteData<Page<Post>> | Post | undefined

/** Changes a post in all cached queries. */
export function changePost(queries: QueryClient, id: string, change: (post: Post) => Post): void {
  const inData = (data: Cached): Cached => {
    if (!data) return data
    if (!('pages' in data)) return data.id === id ? change(data) : data
    if (!data.pages.some(({ items }) => items.some((post) => post.id === id))) return data
    const changed = (post: Post) => (post.id === id ? change(post) : post)
    return { ...data, pages: data.pages.map((page) => ({ ...page, items: page.items.map(changed) })) }
  }
  for (const key of ['posts', 'post']) queries.setQueriesData<Cached>({ queryKey: [key] }, inData)
}

export function removePost(queries: QueryClient, id: string): void {
  const without = (page: Page<Post>) => ({ ...page, items: page.items.filter((post) => post.id !== id) })
  queries.setQueriesData<InfiniteData<Page<Post>>>(
    { queryKey: ['posts'] },
    (data) => data && { ...data, pages: data.pages.map(without) },
  )
  queries.removeQueries({ queryKey: ['post', id] })
}

/** Puts a new post first in the feeds and on its author's page. */
export function addPost(queries: QueryClient, post: Post): void {
  const withPost = (data: InfiniteData<Page<Post>> | undefined) => {
    const [first, ...rest] = data?.pages ?? []
    if (!data || !first || first.items.some(({ id }) => id === post.id)) return data
    return { ...data, pages: [{ ...first, items: [post, ...first.items] }, ...rest] }
  }
  queries.setQueryData(['posts', 'feed', 'all'], withPost)
  queries.setQueryData(['posts', 'of', post.author.id], withPost)
}

/** Live counts go into every cached post. */
export function useKeepPostsLive(): void {
  const client = useRavenpost()
  const queries = useQueryClient()
  useEffect(() => bindQueryClient(client, queries), [client, queries])
}

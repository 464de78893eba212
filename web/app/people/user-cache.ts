import type { InfiniteData, QueryClient } from '@tanstack/react-query'
import type { User } from '../answers.ts'
import type { Page } from '../api.ts'

type Cached = InfiniteData<Page<User>> | User | undefined

/** Changes a user in all cached queries: lists have keys that begin with `users`, single users with `user`. */
export function changeUser(queries: QueryClient, id: string, change: (user: User) => User): void {
  const changed = (user: User) => (user.id === id ? change(user) : user)
  const inData = (data: Cached): Cached => {
    if (!data) return data
    if (!('pages' in data)) return changed(data)
    return { ...data, pages: data.pages.map((page) => ({ ...page, items: page.items.map(changed) })) }
  }
  for (const key of ['users', 'user']) queries.setQueriesData<Cached>({ queryKey: [key] }, inData)
}

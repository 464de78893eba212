import type { QueryClient, QueryKey } from '@tanstack/react-query'
import type { Ravenpost } from '../ravenpost.ts'

/**
 * Keeps cached queries right, whether flat, paged or infinite: notifications are changed and removed in place, and posts get
 * their live counts. Returns the function that ends it.
 */
export function bindQueryClient(
  _client: Ravenpost,
  _queryClient: QueryClient,
  _keys: {
    /** Queries that hold notifications; ['notifications'] by default. */
    notifications?: QueryKey
    /** Queries that hold posts; ['posts'] and ['post'] by default. */
    posts?: readonly QueryKey[]
  } = {},
): () => void {
  throw new Error('under construction')
}

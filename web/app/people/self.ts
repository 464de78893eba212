import { useQuery } from '@tanstack/react-query'
import { useDevice } from '../device.tsx'

/**
 * The public profile of the signed-in user: first as stored in this browser, then from the server, and as edited here.
 */
export function useSelf() {
  const { api, session } = useDevice()
  const { data } = useQuery({
    queryKey: ['user', session.user.id],
    queryFn: () => api.user(session.user.id),
    staleTime: 300_000,
  })
  return data ?? session.user
}

import { useQuery } from '@tanstack/react-query'
import { useDevice } from '../device.tsx'

/** Oneself as others see one: at first as this browser remembers, then as the server says, and as edited here. */
export function useSelf() {
  const { api, session } = useDevice()
  const { data } = useQuery({
    queryKey: ['user', session.user.id],
    queryFn: () => api.user(session.user.id),
    staleTime: 300_000,
  })
  return data ?? session.user
}

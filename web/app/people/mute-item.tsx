import { useMutation, useQueryClient } from '@tanstack/react-query'
import { VolumeX } from 'lucide-react'
import type { Post } from '../answers.ts'
import { useApi } from '../device.tsx'
import { useGo } from '../routes.tsx'
import { useWords } from '../words/words.tsx'

/** Entry of a menu: mutes a person without an end, and opens their page, which shows it and can undo it. */
export function MuteItem({ user }: { user: Pick<Post['author'], 'id' | 'displayName'> }) {
  const { people } = useWords()
  const api = useApi()
  const queries = useQueryClient()
  const go = useGo()
  const mute = useMutation({
    mutationFn: () => api.mute(user.id, null),
    onSettled: async () => {
      await queries.invalidateQueries({ queryKey: ['user', user.id] })
      void queries.invalidateQueries({ queryKey: ['users', 'silenced'] })
      go(`/users/${user.id}`)
    },
  })
  return (
    <button type="button" role="menuitem" onClick={() => mute.mutate()}>
      <VolumeX aria-hidden="true" /> {people.mute(user.displayName)}
    </button>
  )
}

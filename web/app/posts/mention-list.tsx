import { useQuery } from '@tanstack/react-query'
import { type KeyboardEvent, type RefObject, useId, useState } from 'react'
import { Avatar } from '../../ui/avatar.tsx'
import type { User } from '../answers.ts'
import { useApi } from '../device.tsx'
import { useWords } from '../words/words.tsx'
import styles from './post.module.css'

type Text = { value: string; set(value: string): void; field: RefObject<HTMLTextAreaElement | null> }

/** Suggests people to mention while the cursor is behind an @ and the beginning of a name. */
export function useMentions({ value, set, field }: Text) {
  const { composer } = useWords()
  const api = useApi()
  const id = useId()
  const [name, setName] = useState('')
  const [chosen, setChosen] = useState(0)
  const { data } = useQuery({
    queryKey: ['mention', name],
    queryFn: () => api.searchUsers(name, 5)(),
    enabled: name !== '',
    staleTime: 60_000,
  })
  // An empty text means that the form was sent.
  const people = name === '' || value === '' ? [] : (data?.items ?? [])

  const look = () => {
    const before = value.slice(0, field.current?.selectionStart ?? value.length)
    setName(/(?:^|[^\p{L}\p{N}_])@([a-z0-9_]{1,30})$/iu.exec(before)?.[1]?.toLowerCase() ?? '')
    setChosen(0)
  }

  const take = (user: User) => {
    const cursor = field.current?.selectionStart ?? value.length
    const start = value.lastIndexOf('@', cursor - 1)
    const inserted = `@${user.username} `
    set(value.slice(0, start) + inserted + value.slice(cursor))
    setName('')
    requestAnimationFrame(() => {
      field.current?.focus()
      field.current?.setSelectionRange(start + inserted.length, start + inserted.length)
    })
  }

  /** Handles a key. Returns true when the key was for the list. */
  const onKeyDown = (event: KeyboardEvent): boolean => {
    const person = people[chosen]
    if (!person) return false
    if (event.key === 'ArrowDown') setChosen((chosen + 1) % people.length)
    else if (event.key === 'ArrowUp') setChosen((chosen + people.length - 1) % people.length)
    else if (event.key === 'Enter' || event.key === 'Tab') take(person)
    else if (event.key === 'Escape') setName('')
    else return false
    event.preventDefault()
    return true
  }

  const list = people.length > 0 && (
    <div id={id} role="listbox" aria-label={composer.mentions} className={styles.suggestions}>
      {people.map((user, index) => (
        // biome-ignore lint/a11y/useFocusableInteractive: the focus stays in the text, which names the active option
        // biome-ignore lint/a11y/useKeyWithClickEvents: keys are taken by the text
        <div
          key={user.id}
          id={`${id}-${index}`}
          role="option"
          aria-selected={index === chosen}
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => take(user)}
        >
          <Avatar user={user} size={28} />
          <span>
            {user.displayName}{' '}
            <small>
              <bdi>@{user.username}</bdi>
            </small>
          </span>
        </div>
      ))}
    </div>
  )
  const attributes = {
    onBlur: () => setName(''),
    'aria-autocomplete': 'list' as const,
    'aria-haspopup': 'listbox' as const,
    'aria-controls': people.length > 0 ? id : undefined,
    'aria-activedescendant': people.length > 0 ? `${id}-${chosen}` : undefined,
  }
  return { list, look, onKeyDown, attributes }
}

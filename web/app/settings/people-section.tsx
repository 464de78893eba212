import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Button } from '../../ui/button.tsx'
import { useApi } from '../device.tsx'
import people from '../people/people.module.css'
import { UserRow } from '../people/users.tsx'
import { List, useList } from '../posts/list.tsx'
import { useWords } from '../words/words.tsx'
import styles from './settings.module.css'

export function PeopleSection() {
  const { settings, people: words } = useWords()
  return (
    <>
      <Silenced which="blocked" title={settings.blockedList} end={words.unblock} />
      <Silenced which="muted" title={settings.mutedList} end={words.unmute} />
    </>
  )
}

function Silenced({ which, title, end }: { which: 'blocked' | 'muted'; title: string; end: string }) {
  const { settings } = useWords()
  const api = useApi()
  const queries = useQueryClient()
  const list = useList(['users', 'silenced', which], api.silenced(which))
  const stop = useMutation({
    mutationFn: (id: string) => (which === 'blocked' ? api.block(id, false) : api.unmute(id)),
    onSettled: () => queries.invalidateQueries({ queryKey: ['users', 'silenced', which] }),
  })
  return (
    <section className={styles.card}>
      <h2>{title}</h2>
      <div className={people.plain}>
        <List list={list} empty={<p className={people.row}>{settings.nobody}</p>}>
          {(user) => (
            <UserRow key={user.id} user={user} end={<Button onClick={() => stop.mutate(user.id)}>{end}</Button>} />
          )}
        </List>
      </div>
    </section>
  )
}

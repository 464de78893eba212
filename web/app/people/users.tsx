import { type QueryKey, useMutation, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { Avatar } from '../../ui/avatar.tsx'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Empty } from '../../ui/notes.tsx'
import type { User } from '../answers.ts'
import type { Page } from '../api.ts'
import { useDevice } from '../device.tsx'
import { List, useList } from '../posts/list.tsx'
import { useWords } from '../words/words.tsx'
import styles from './people.module.css'
import { changeUser } from './user-cache.ts'

/** A person in a list, with a follow button. */
export function UserRow({ user, end }: { user: User; end?: ReactNode }) {
  const { people } = useWords()
  return (
    <div className={styles.row}>
      <Avatar user={user} />
      <div className={styles.names}>
        <Link to="/users/$userId" params={{ userId: user.id }}>
          {user.displayName}
        </Link>
        <small>
          <bdi>@{user.username}</bdi>
          {user.viewer.followedBy && ` · ${people.followsYou}`}
        </small>
      </div>
      {end ?? <FollowButton user={user} />}
    </div>
  )
}

/** Renders nothing for the user's own account and for blocked people. */
export function FollowButton({ user }: { user: User }) {
  const { people } = useWords()
  const { api, session } = useDevice()
  const queries = useQueryClient()
  const { following, blocked } = user.viewer
  const show = (wanted: boolean) =>
    changeUser(queries, user.id, (old) =>
      old.viewer.following === wanted
        ? old
        : {
            ...old,
            followerCount: Math.max(0, old.followerCount + (wanted ? 1 : -1)),
            viewer: { ...old.viewer, following: wanted },
          },
    )
  const follow = useMutation({
    scope: { id: `follow:${user.id}` },
    mutationFn: (wanted: boolean) => api.follow(user.id, wanted),
    onMutate: show,
    onError: (_error, wanted) => show(!wanted),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['posts', 'feed', 'following'] }),
  })
  if (user.id === session.user.id || blocked) return null
  return (
    <Button
      kind={following ? 'plain' : 'primary'}
      aria-pressed={following}
      aria-label={
        following ? `${people.following}, ${people.unfollow(user.displayName)}` : `${people.follow} ${user.displayName}`
      }
      onClick={() => follow.mutate(!following)}
    >
      {following ? people.following : people.follow}
    </Button>
  )
}

type UsersDialogProps = {
  title: string
  queryKey: QueryKey
  fetchPage(cursor?: string | null): Promise<Page<User>>
  empty: string
  onClose(): void
}

export function UsersDialog({ title, queryKey, fetchPage, empty, onClose }: UsersDialogProps) {
  const { app } = useWords()
  const list = useList(['users', ...queryKey], fetchPage)
  return (
    <Dialog title={title} closeLabel={app.close} onClose={onClose}>
      <div className={styles.plain}>
        <List list={list} empty={<Empty title={empty} />}>
          {(user) => <UserRow key={user.id} user={user} />}
        </List>
      </div>
    </Dialog>
  )
}

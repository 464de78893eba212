import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, Navigate, useParams, useSearch } from '@tanstack/react-router'
import { Ban, Bell, BellRing, Ellipsis, Volume2, VolumeX } from 'lucide-react'
import { useRef, useState } from 'react'
import { Avatar } from '../../ui/avatar.tsx'
import { Button, IconButton, SubmitButton } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Field, TextArea } from '../../ui/field.tsx'
import { Menu } from '../../ui/menu.tsx'
import { Alert, Empty, Loading } from '../../ui/notes.tsx'
import { tabClass, tabsClass } from '../../ui/tabs.tsx'
import type { User } from '../answers.ts'
import type { UserList } from '../api.ts'
import { useDevice } from '../device.tsx'
import { useLiveInView } from '../posts/in-view.ts'
import { itemsOf, List, useList } from '../posts/list.tsx'
import posts from '../posts/post.module.css'
import { PostCard } from '../posts/post.tsx'
import { explain, faultsOf, Problem } from '../problem.ts'
import { NotFound } from '../shell/boundary.tsx'
import { useTitle } from '../shell/title.ts'
import { useLanguage, useWords } from '../words/words.tsx'
import styles from './people.module.css'
import type { PersonTab } from './tabs.ts'
import { changeUser } from './user-cache.ts'
import { FollowButton, UserRow } from './users.tsx'

export function PersonPage() {
  const words = useWords()
  const { userId } = useParams({ from: '/user/users/$userId' })
  const { tab } = useSearch({ from: '/user/users/$userId' })
  const { api } = useDevice()
  const { data: user, error, refetch } = useQuery({ queryKey: ['user', userId], queryFn: () => api.user(userId) })
  useTitle(user?.displayName)
  if (error instanceof Problem && (error.status === 404 || error.status === 400)) return <NotFound />
  if (error)
    return (
      <Alert>
        {explain(error, words)}
        <Button onClick={() => void refetch()}>{words.app.retry}</Button>
      </Alert>
    )
  if (!user) return <Loading label={words.app.loading} />
  return (
    <>
      <Profile user={user} />
      {!user.viewer.blocked && (
        <>
          <nav className={tabsClass} aria-label={user.displayName}>
            <TabLink userId={userId} tab={undefined} current={tab} label={words.people.posts} />
            <TabLink userId={userId} tab="followers" current={tab} label={words.people.followersTab} />
            <TabLink userId={userId} tab="following" current={tab} label={words.people.followingTab} />
            <TabLink userId={userId} tab="friends" current={tab} label={words.people.friends} />
          </nav>
          {tab === undefined ? (
            <PostsOf key={userId} userId={userId} />
          ) : (
            <People key={`${userId}${tab}`} userId={userId} which={tab} />
          )}
        </>
      )}
    </>
  )
}

/** Page of a mention's URL; redirects to the person's page. */
export function PersonByNamePage() {
  const words = useWords()
  const { username } = useParams({ from: '/user/users/by-name/$username' })
  const { api } = useDevice()
  const { data, error } = useQuery({ queryKey: ['user', 'by-name', username], queryFn: () => api.userByName(username) })
  if (error) return <NotFound />
  if (!data) return <Loading label={words.app.loading} />
  return <Navigate to="/users/$userId" params={{ userId: data.id }} replace />
}

type TabLinkProps = { userId: string; tab: PersonTab | undefined; current: PersonTab | undefined; label: string }

function TabLink({ userId, tab, current, label }: TabLinkProps) {
  return (
    <Link
      to="/users/$userId"
      params={{ userId }}
      search={tab ? { tab } : {}}
      className={tabClass}
      activeOptions={{ exact: true }}
      aria-current={tab === current ? 'page' : undefined}
      resetScroll={false}
    >
      {label}
    </Link>
  )
}

function PostsOf({ userId }: { userId: string }) {
  const { people } = useWords()
  const { api } = useDevice()
  const list = useList(['posts', 'of', userId], api.postsOf(userId))
  const container = useRef<HTMLDivElement>(null)
  useLiveInView(
    container,
    itemsOf(list).map(({ id }) => id),
  )
  return (
    <div ref={container} className={posts.feed}>
      <List list={list} empty={<Empty title={people.noPosts} />}>
        {(post) => <PostCard key={post.id} post={post} />}
      </List>
    </div>
  )
}

function People({ userId, which }: { userId: string; which: UserList }) {
  const { people } = useWords()
  const { api } = useDevice()
  const list = useList(['users', userId, which], api.users(userId, which))
  return (
    <div className={styles.list}>
      <List list={list} empty={<Empty title={people.none}>{which === 'friends' && people.friendsHint}</Empty>}>
        {(user) => <UserRow key={user.id} user={user} />}
      </List>
    </div>
  )
}

function Profile({ user }: { user: User }) {
  const { people } = useWords()
  const { session } = useDevice()
  const language = useLanguage()
  const [editing, setEditing] = useState(false)
  const own = user.id === session.user.id
  const { viewer } = user
  const since = new Date(user.createdAt).toLocaleDateString(language, { month: 'long', year: 'numeric' })
  return (
    <section className={styles.card}>
      <div className={styles.head}>
        <Avatar user={user} size={72} />
        <div className={styles.title}>
          <h1>{user.displayName}</h1>
          <bdi>@{user.username}</bdi>
          {viewer.followedBy && <span className={styles.tag}>{people.followsYou}</span>}
        </div>
        <div className={styles.buttons}>
          {own ? (
            <Button onClick={() => setEditing(true)}>{people.edit}</Button>
          ) : (
            <>
              {!viewer.blocked && <BellToggle user={user} />}
              <FollowButton user={user} />
              <SilenceMenu user={user} />
            </>
          )}
        </div>
      </div>
      {user.bio && (
        <p className={styles.bio} dir="auto">
          {user.bio}
        </p>
      )}
      <p className={styles.facts}>
        <span>{people.followers(user.followerCount)}</span>
        <span>{people.followingCount(user.followingCount)}</span>
        <span>{people.since(since)}</span>
      </p>
      <Silenced user={user} />
      {editing && <EditDialog user={user} onClose={() => setEditing(false)} />}
    </section>
  )
}

function useViewerChange(user: User) {
  const queries = useQueryClient()
  return (viewer: Partial<User['viewer']>) =>
    changeUser(queries, user.id, (old) => ({ ...old, viewer: { ...old.viewer, ...viewer } }))
}

function BellToggle({ user }: { user: User }) {
  const { people } = useWords()
  const { api } = useDevice()
  const show = useViewerChange(user)
  const { bell } = user.viewer
  const ring = useMutation({
    scope: { id: `bell:${user.id}` },
    mutationFn: (wanted: boolean) => api.bell(user.id, wanted),
    onMutate: (wanted) => show({ bell: wanted }),
    onError: (_error, wanted) => show({ bell: !wanted }),
  })
  const label = bell ? people.bellOff(user.displayName) : people.bellOn(user.displayName)
  return (
    <IconButton label={label} aria-pressed={bell} className={styles.bell ?? ''} onClick={() => ring.mutate(!bell)}>
      {bell ? <BellRing aria-hidden="true" /> : <Bell aria-hidden="true" />}
    </IconButton>
  )
}

const [HOUR, DAY, WEEK] = [3600, 86_400, 604_800]

function useSilence(user: User) {
  const { api } = useDevice()
  const queries = useQueryClient()
  const show = useViewerChange(user)
  const settled = () => {
    // Fetches lists of posts again, except that of the blocked person, which is no longer available.
    void queries.invalidateQueries({ queryKey: ['posts'], predicate: ({ queryKey }) => queryKey[2] !== user.id })
    void queries.invalidateQueries({ queryKey: ['users', 'silenced'] })
  }
  const mute = useMutation({
    mutationFn: (seconds: number | null | 'unmute') =>
      seconds === 'unmute' ? api.unmute(user.id) : api.mute(user.id, seconds),
    onMutate: (seconds) => show({ muted: seconds !== 'unmute' }),
    onError: (_error, seconds) => show({ muted: seconds === 'unmute' }),
    onSettled: settled,
  })
  const block = useMutation({
    mutationFn: (wanted: boolean) => api.block(user.id, wanted),
    onSuccess: (_nothing, wanted) => {
      show(wanted ? { blocked: true, following: false, followedBy: false, bell: false } : { blocked: false })
      settled()
    },
  })
  return { mute, block }
}

function SilenceMenu({ user }: { user: User }) {
  const words = useWords()
  const { app, people } = words
  const { mute, block } = useSilence(user)
  const [asking, setAsking] = useState(false)
  const label = people.muteOrBlock(user.displayName)
  const muteFor = [
    [people.muteFor.hour, HOUR],
    [people.muteFor.day, DAY],
    [people.muteFor.week, WEEK],
    [people.muteFor.ever, null],
  ] as const
  return (
    <>
      <Menu
        label={label}
        trigger={(attributes) => (
          <IconButton label={label} {...attributes}>
            <Ellipsis aria-hidden="true" />
          </IconButton>
        )}
      >
        {user.viewer.muted ? (
          <button type="button" role="menuitem" onClick={() => mute.mutate('unmute')}>
            <Volume2 aria-hidden="true" /> {people.unmute}
          </button>
        ) : (
          muteFor.map(([text, seconds]) => (
            <button key={text} type="button" role="menuitem" onClick={() => mute.mutate(seconds)}>
              <VolumeX aria-hidden="true" /> {text}
            </button>
          ))
        )}
        <hr />
        {user.viewer.blocked ? (
          <button type="button" role="menuitem" onClick={() => block.mutate(false)}>
            <Ban aria-hidden="true" /> {people.unblock}
          </button>
        ) : (
          <button type="button" role="menuitem" data-danger onClick={() => setAsking(true)}>
            <Ban aria-hidden="true" /> {people.block}
          </button>
        )}
      </Menu>
      {asking && (
        <Dialog title={people.blockTitle(user.displayName)} closeLabel={app.close} onClose={() => setAsking(false)}>
          <p>{people.blockHint(user.displayName)}</p>
          {block.isError && <Alert>{explain(block.error, words)}</Alert>}
          <div className={posts.actions}>
            <Button onClick={() => setAsking(false)}>{app.cancel}</Button>
            <Button
              kind="danger"
              busy={block.isPending}
              onClick={() => block.mutate(true, { onSuccess: () => setAsking(false) })}
            >
              {people.block}
            </Button>
          </div>
        </Dialog>
      )}
    </>
  )
}

function Silenced({ user }: { user: User }) {
  const { people } = useWords()
  const { mute, block } = useSilence(user)
  if (user.viewer.blocked)
    return (
      <div className={styles.note}>
        {people.blockedHint(user.displayName)}
        <Button onClick={() => block.mutate(false)}>{people.unblock}</Button>
      </div>
    )
  if (!user.viewer.muted) return null
  return (
    <div className={styles.note}>
      {people.mutedHint(user.displayName)}
      <Button onClick={() => mute.mutate('unmute')}>{people.unmute}</Button>
    </div>
  )
}

function EditDialog({ user, onClose }: { user: User; onClose(): void }) {
  const words = useWords()
  const { people, app } = words
  const { api, session } = useDevice()
  const queries = useQueryClient()
  const picker = useRef<HTMLInputElement>(null)
  const [avatarMediaId, setAvatar] = useState(user.avatarMediaId)
  const upload = useMutation({ mutationFn: api.upload, onSuccess: ({ id }) => setAvatar(id) })
  const save = useMutation({
    mutationFn: (form: FormData) =>
      api.editProfile(user.id, {
        displayName: String(form.get('displayName')),
        bio: String(form.get('bio')),
        avatarMediaId,
      }),
    onSuccess: (edited) => {
      changeUser(queries, user.id, () => edited)
      session.remember(edited)
      onClose()
    },
  })
  const { at, general } = faultsOf(upload.error ?? save.error, words)
  return (
    <Dialog title={people.edit} closeLabel={app.close} onClose={onClose}>
      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault()
          save.mutate(new FormData(event.currentTarget))
        }}
      >
        {general && <Alert>{general}</Alert>}
        <div className={styles.picture}>
          <Avatar user={{ ...user, avatarMediaId }} size={72} />
          <input
            ref={picker}
            type="file"
            accept="image/*"
            hidden
            onChange={({ target }) => target.files?.[0] && upload.mutate(target.files[0])}
          />
          <Button busy={upload.isPending} onClick={() => picker.current?.click()}>
            {people.changePicture}
          </Button>
          {avatarMediaId !== null && (
            <Button kind="quiet" onClick={() => setAvatar(null)}>
              {people.removePicture}
            </Button>
          )}
        </div>
        <Field
          label={words.account.displayName}
          name="displayName"
          required
          maxLength={100}
          defaultValue={user.displayName}
          error={at('displayName')}
        />
        <TextArea label={people.bio} name="bio" maxLength={500} defaultValue={user.bio} error={at('bio')} />
        <div className={posts.actions}>
          <Button onClick={onClose}>{app.cancel}</Button>
          <SubmitButton busy={save.isPending}>{app.save}</SubmitButton>
        </div>
      </form>
    </Dialog>
  )
}

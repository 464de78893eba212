import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { Bookmark, Search } from 'lucide-react'
import { useRef } from 'react'
import { Empty } from '../../ui/notes.tsx'
import { tabClass, tabsClass } from '../../ui/tabs.tsx'
import { useApi } from '../device.tsx'
import people from '../people/people.module.css'
import { UserRow } from '../people/users.tsx'
import { useLiveInView } from '../posts/in-view.ts'
import { itemsOf, List, useList } from '../posts/list.tsx'
import styles from '../posts/post.module.css'
import { PostCard } from '../posts/post.tsx'
import { useTitle } from '../shell/title.ts'
import { useWords } from '../words/words.tsx'

export function BookmarksPage() {
  const { nav, bookmarks } = useWords()
  const api = useApi()
  const list = useList(['posts', 'bookmarks'], api.bookmarks)
  useTitle(nav.bookmarks)
  const container = useRef<HTMLDivElement>(null)
  useLiveInView(
    container,
    itemsOf(list).map(({ id }) => id),
  )
  return (
    <>
      <h1>{nav.bookmarks}</h1>
      <div ref={container} className={styles.feed}>
        <List
          list={list}
          empty={
            <Empty icon={<Bookmark aria-hidden="true" />} title={bookmarks.empty}>
              {bookmarks.emptyHint}
            </Empty>
          }
        >
          {(post) => <PostCard key={post.id} post={post} />}
        </List>
      </div>
    </>
  )
}

export function SearchPage() {
  const { nav, search } = useWords()
  const navigate = useNavigate()
  const { q, in: kind } = useSearch({ from: '/user/search' })
  useTitle(q === undefined ? nav.search : `${nav.search}: ${q}`)
  return (
    <>
      <h1>{nav.search}</h1>
      <form
        className={people.searchForm}
        onSubmit={(event) => {
          event.preventDefault()
          const text = String(new FormData(event.currentTarget).get('q')).trim()
          void navigate({ to: '/search', search: { ...(text && { q: text }), ...(kind && { in: kind }) } })
        }}
      >
        <Search aria-hidden="true" />
        <input
          key={q}
          name="q"
          type="search"
          defaultValue={q}
          maxLength={100}
          aria-label={nav.searchLabel}
          placeholder={nav.searchLabel}
        />
      </form>
      <nav className={tabsClass} aria-label={nav.search}>
        <Link
          to="/search"
          search={{ q }}
          className={tabClass}
          activeOptions={{ exact: true }}
          aria-current={kind ? undefined : 'page'}
        >
          {search.people}
        </Link>
        <Link
          to="/search"
          search={{ q, in: 'posts' }}
          className={tabClass}
          activeOptions={{ exact: true }}
          aria-current={kind === 'posts' ? 'page' : undefined}
        >
          {search.posts}
        </Link>
      </nav>
      {q === undefined ? (
        <Empty icon={<Search aria-hidden="true" />} title={search.start}>
          {search.hint}
        </Empty>
      ) : kind === 'posts' ? (
        <FoundPosts q={q} />
      ) : (
        <FoundPeople q={q} />
      )}
    </>
  )
}

function FoundPosts({ q }: { q: string }) {
  const { search } = useWords()
  const api = useApi()
  const list = useList(['posts', 'search', q], api.searchPosts(q))
  return (
    <div className={styles.feed}>
      <List list={list} empty={<Empty title={search.none(q)}>{search.hint}</Empty>}>
        {(post) => <PostCard key={post.id} post={post} />}
      </List>
    </div>
  )
}

function FoundPeople({ q }: { q: string }) {
  const { search } = useWords()
  const api = useApi()
  const list = useList(['users', 'search', q], api.searchUsers(q))
  return (
    <div className={people.list}>
      <List list={list} empty={<Empty title={search.none(q)}>{search.hint}</Empty>}>
        {(user) => <UserRow key={user.id} user={user} />}
      </List>
    </div>
  )
}

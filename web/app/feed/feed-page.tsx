import { useQueryClient } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { Feather } from 'lucide-react'
import { useRavenpost } from 'ravenpost-client/react'
import { useEffect, useRef, useState } from 'react'
import { Empty } from '../../ui/notes.tsx'
import { tabClass, tabsClass } from '../../ui/tabs.tsx'
import { useApi } from '../device.tsx'
import { useLiveAgain } from '../live.ts'
import { Composer } from '../posts/composer.tsx'
import { useLiveInView } from '../posts/in-view.ts'
import { itemsOf, List, useList } from '../posts/list.tsx'
import styles from '../posts/post.module.css'
import { PostCard } from '../posts/post.tsx'
import { useTitle } from '../shell/title.ts'
import { useWords } from '../words/words.tsx'

export function FeedPage() {
  const { feed, composer } = useWords()
  const { scope = 'all' } = useSearch({ from: '/user/' })
  const api = useApi()
  useTitle(feed.title)
  const queries = useQueryClient()
  const queryKey = ['posts', 'feed', scope]
  const list = useList(queryKey, api.posts(scope))
  const container = useRef<HTMLDivElement>(null)
  const ids = itemsOf(list).map(({ id }) => id)
  useLiveInView(container, ids)
  const { newer, clear } = useNewer(scope, ids[0])

  const showNewer = async () => {
    clear()
    await queries.resetQueries({ queryKey })
    const scroller = container.current?.closest('[data-scroller]') ?? window
    scroller.scrollTo({ top: 0, behavior: 'smooth' })
  }

  const tab = (value: 'all' | 'following', label: string) => (
    <Link
      to="/"
      search={value === 'all' ? {} : { scope: value }}
      className={tabClass}
      activeOptions={{ exact: true }}
      aria-current={scope === value ? 'page' : undefined}
    >
      {label}
    </Link>
  )
  return (
    <>
      <h1 className="visually-hidden">{feed.title}</h1>
      <nav className={tabsClass} aria-label={feed.title}>
        {tab('all', feed.everyone)}
        {tab('following', feed.following)}
      </nav>
      <Composer key={composer.label} />
      {newer > 0 && (
        <button type="button" className={styles.pill} onClick={() => void showNewer()}>
          {feed.newer(newer)}
        </button>
      )}
      <div ref={container} className={styles.feed}>
        <List
          list={list}
          empty={
            <Empty icon={<Feather aria-hidden="true" />} title={scope === 'all' ? feed.empty : feed.followingEmpty}>
              {scope === 'all' ? feed.emptyHint : feed.followingEmptyHint}
            </Empty>
          }
          end={<p className={styles.end_note}>{feed.end}</p>}
        >
          {(post) => <PostCard key={post.id} post={post} />}
        </List>
      </div>
    </>
  )
}

/** By then the server has what this page watches. */
const WATCHED_AFTER_MS = 500

/** How many posts are newer than what is shown: those that came in a break of the connection, and those since. */
function useNewer(scope: 'all' | 'following', newest: string | undefined) {
  const client = useRavenpost()
  const api = useApi()
  const [newer, setNewer] = useState(0)
  const [fetched, setFetched] = useState<readonly string[]>([])
  const [round, setRound] = useState(0)
  const catchUp = useRef<ReturnType<typeof setTimeout>>(undefined)
  // The list and the connection are there a moment before the watch: a post in between is in neither.
  const catchUpSoon = () => {
    clearTimeout(catchUp.current)
    catchUp.current = setTimeout(() => {
      api
        .posts(scope)()
        .then(
          ({ items }) => setFetched(items.map(({ id }) => id)),
          () => undefined,
        )
    }, WATCHED_AFTER_MS)
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round watches anew, so that the count starts at nothing
  useEffect(() => {
    setNewer(0)
    setFetched([])
    const stops = [
      client.watch({ feed: scope }),
      client.on('feed', (frame) => frame.feed === scope && setNewer(frame.newer)),
    ]
    catchUpSoon()
    return () => {
      clearTimeout(catchUp.current)
      for (const stop of stops) stop()
    }
  }, [client, scope, round])
  useLiveAgain(() => {
    setNewer(0)
    catchUpSoon()
  })
  // The list may be fetched again meanwhile, and then shows them.
  const missed = fetched.filter((id) => newest === undefined || Number(id) > Number(newest)).length
  // Both may count a post that came as the connection became live, so their sum is too high.
  return { newer: Math.max(newer, missed), clear: () => setRound((old) => old + 1) }
}

import { useQueryClient } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { Feather } from 'lucide-react'
import { useRavenpost } from 'ravenpost-client/react'
import { useEffect, useRef, useState } from 'react'
import { Empty } from '../../ui/notes.tsx'
import { tabClass, tabsClass } from '../../ui/tabs.tsx'
import { useApi } from '../device.tsx'
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
  const { newer, clear } = useNewer(scope, ids)

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

/** Milliseconds in which several frames cause only one request. */
const CATCH_UP_MS = 300

/**
 * Number of posts newer than the ones shown. The server counts from the start of the watch, and starts again when the
 * page watches something else. A request finds the posts before that.
 */
function useNewer(scope: 'all' | 'following', shown: readonly string[]) {
  const client = useRavenpost()
  const api = useApi()
  const [newer, setNewer] = useState(0)
  const [fetched, setFetched] = useState<readonly string[]>([])
  const [round, setRound] = useState(0)
  const oldest = Number(shown.at(-1) ?? 0)
  const missed = fetched.filter((id) => !shown.includes(id) && Number(id) > oldest).length
  const latest = useRef(missed)
  latest.current = missed
  const [newest] = shown
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round or a newer list counts from zero again
  useEffect(() => {
    let counted: number | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    let isOver = false
    const fetchNewest = () =>
      api
        .posts(scope)()
        .then(({ items }) => {
          if (isOver) return
          setFetched(items.map(({ id }) => id))
          setNewer(counted ?? 0)
        })
        .catch(() => undefined)
    const catchUp = () => {
      clearTimeout(timer)
      timer = setTimeout(fetchNewest, CATCH_UP_MS)
    }
    setNewer(0)
    setFetched([])
    const stops = [
      client.watch({ feed: scope }),
      client.on('watched', ({ feed }) => {
        if (feed !== scope) return
        counted = 0
        catchUp()
      }),
      client.on('feed', (frame) => {
        // Frames of the former watch may still arrive.
        if (frame.feed !== scope || counted === undefined) return
        counted = frame.newer
        setNewer(counted)
        // `newer` and `missed` can count the same post, so use the larger one instead of the sum.
        if (latest.current > 0) catchUp()
      }),
    ]
    return () => {
      isOver = true
      clearTimeout(timer)
      for (const stop of stops) stop()
    }
  }, [client, scope, newest, round])
  return { newer: Math.max(newer, missed), clear: () => setRound((old) => old + 1) }
}

import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useLocation } from '@tanstack/react-router'
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react'
import { useDevice } from '../app/device.tsx'
import { Problem } from '../app/problem.ts'
import type { Sql, System } from './answers.ts'

export type Parameter = Sql['parameters'][number]
export type Row = Record<string, unknown>
export type List<T = Row> = { items: T[]; sql: Sql }
export type Pages<T = Row> = List<T> & { nextCursor: string | null }
/** What the button for the next page needs. */
export type More = { wanted: boolean; busy: boolean; further: boolean; read(): void }
export type Stage = 'write' | 'inbox' | 'push' | 'acknowledged' | 'filtered' | 'sent' | 'failed'
export type PipelineEvent = {
  stage: Stage
  id: string
  at: string
  userId: string | null
  notificationId: string | null
  type: string | null
  sourceId: string | null
}
export type Tick = {
  at: string
  system: Omit<System, 'sql'>
  events: PipelineEvent[]
  sql: { system: Sql; pipeline: Sql }
}

type Console = {
  /** Role of the user: reader, operator or admin. */
  role: string
  /** True if screens refresh by themselves. */
  live: boolean
  setLive(live: boolean): void
  /** Time until which write actions are enabled, in milliseconds since 1970. 0: disabled. */
  operateUntil: number
  setOperateUntil(until: number): void
  /** Seconds of the pipeline in the last five minutes, oldest first. */
  ticks: readonly Tick[]
  connected: boolean
}

const Context = createContext<Console | undefined>(undefined)
const REFRESH_MS = 3000
const TICKS_KEPT = 300
const RECONNECT_MS = 2000

/** @throws {Error} outside of ConsoleData */
export function useConsole(): Console {
  const console = useContext(Context)
  if (!console) throw new Error('this is part of the console')
  return console
}

export function ConsoleData({ role, children }: { role: string; children: ReactNode }) {
  const [live, setLive] = useState(true)
  const [operateUntil, setOperateUntil] = useState(0)
  const { ticks, connected } = useTicks(live)
  useEffect(() => {
    if (operateUntil === 0) return
    const timer = setTimeout(() => setOperateUntil(0), operateUntil - Date.now())
    return () => clearTimeout(timer)
  }, [operateUntil])
  const value = useMemo(
    () => ({ role, live, setLive, operateUntil, setOperateUntil, ticks, connected }),
    [role, live, operateUntil, ticks, connected],
  )
  return <Context value={value}>{children}</Context>
}

/** The column and value in the address. `useSearch` would return those of the previous screen on the first render. */
export function useNamed(): { column?: string; value?: string } {
  return useLocation().search
}

/**
 * Runs a read of the console, every three seconds while the page is visible. `every`: another interval in milliseconds;
 * 0: once.
 */
export function useRead<T>(path: string | undefined, every = REFRESH_MS) {
  const { session } = useDevice()
  const { live } = useConsole()
  return useQuery({
    queryKey: ['console', path],
    queryFn: () => session.request<T>('GET', `/admin/${path}`),
    enabled: path !== undefined,
    refetchInterval: live && every > 0 ? every : false,
    staleTime: 1000,
    placeholderData: keepPreviousData,
    retry: false,
  })
}

/**
 * Runs a read that is a list, page by page. Refreshes as `useRead` while only the first page is shown. `sql` is the
 * statement of the last page.
 */
export function usePages<P extends { nextCursor: string | null; sql: Sql }>(
  path: string | undefined,
  every = REFRESH_MS,
): { pages: P[] | undefined; sql: P['sql'] | undefined; error: unknown; more: More; isPlaceholderData: boolean } {
  const { session } = useDevice()
  const { live } = useConsole()
  const { data, error, hasNextPage, fetchNextPage, isFetchingNextPage, isPlaceholderData } = useInfiniteQuery({
    queryKey: ['console', 'pages', path],
    initialPageParam: '',
    queryFn: ({ pageParam }) =>
      session.request<P>(
        'GET',
        `/admin/${path}${pageParam && `${path?.includes('?') ? '&' : '?'}cursor=${pageParam}`}`,
      ),
    getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
    enabled: path !== undefined,
    refetchInterval: ({ state }) => (live && every > 0 && (state.data?.pages.length ?? 0) < 2 ? every : false),
    staleTime: 1000,
    placeholderData: keepPreviousData,
    retry: false,
  })
  const more = {
    wanted: hasNextPage,
    busy: isFetchingNextPage,
    further: (data?.pages.length ?? 0) > 1,
    read: () => void fetchNextPage(),
  }
  return { pages: data?.pages, sql: data?.pages.at(-1)?.sql, error, more, isPlaceholderData }
}

/** The rows of all pages; undefined: not read yet. */
export function rowsOf<T>(pages: Pages<T>[] | undefined): T[] | undefined {
  return pages?.flatMap(({ items }) => items)
}

/** The stream of the pipeline: one connection per page, none while the page is hidden or paused. */
function useTicks(live: boolean): { ticks: readonly Tick[]; connected: boolean } {
  const { session } = useDevice()
  const [ticks, setTicks] = useState<readonly Tick[]>([])
  const [connected, setConnected] = useState(false)
  const visible = useVisible()
  useEffect(() => {
    if (!live || !visible) return
    let wanted = true
    let reader: ReadableStreamDefaultReader<string> | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    const connect = async () => {
      try {
        const response = await session.send('GET', '/admin/pipeline/stream')
        reader = response.body
          ?.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>)
          .getReader()
        if (!wanted) return void reader?.cancel()
        setConnected(true)
        let rest = ''
        for (;;) {
          const { value, done } = (await reader?.read()) ?? { done: true, value: '' }
          if (done) break
          const parts = (rest + value).split('\n\n')
          rest = parts.pop() ?? ''
          const found = parts.flatMap((part) => {
            const data = /^data: (.*)$/m.exec(part)?.[1]
            return data === undefined ? [] : [JSON.parse(data) as Tick]
          })
          if (wanted && found.length > 0) setTicks((before) => [...before, ...found].slice(-TICKS_KEPT))
        }
      } catch {
        // the loop below tries again
      }
      setConnected(false)
      if (wanted) timer = setTimeout(connect, RECONNECT_MS)
    }
    void connect()
    return () => {
      wanted = false
      clearTimeout(timer)
      void reader?.cancel().catch(() => undefined)
    }
  }, [session, live, visible])
  return { ticks, connected }
}

function useVisible(): boolean {
  const [visible, setVisible] = useState(document.visibilityState === 'visible')
  useEffect(() => {
    const look = () => setVisible(document.visibilityState === 'visible')
    document.addEventListener('visibilitychange', look)
    return () => document.removeEventListener('visibilitychange', look)
  }, [])
  return visible
}

/** @throws {Problem} where the text is not JSON; an empty one is `{}` */
export function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text || '{}')
  } catch {
    throw new Problem(400, { code: 'BAD_JSON', title: `${name}: this is not JSON` })
  }
}

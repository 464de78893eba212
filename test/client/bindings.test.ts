import { setTimeout } from 'node:timers/promises'
import { QueryClient, QueryObserver } from '@tanstack/react-query'
import t, { type Test } from 'tap'
import type { Notification } from '../../client/src/core.ts'
import { createJournal } from '../../client/src/devtools/journal.ts'
import { createToasts, preferencesOf, type ToastOptions } from '../../client/src/index.ts'
import { bindQueryClient } from '../../client/src/query/index.ts'
import { handlePush } from '../../client/src/worker/index.ts'
import { eventually, setup } from '../setup.ts'
import { startClient } from './client.ts'

async function start(t: Test) {
  const system = await setup(t, { worker: true, push: true, windowSeconds: 0 })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('hello')
  const started = startClient(t, ana, system)
  await started.live()
  return { system, ana, ben, post, started, client: started.client }
}

type Page = { items: Notification[]; nextCursor: string | null }

t.test('cached queries of every shape follow changes without fetching', async (t) => {
  const { system, ana, ben, post, started, client } = await start(t)
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } })
  t.teardown(() => queries.clear())
  await ben.follow(ana.id)
  await started.shows('ben followed you')
  const page = await client.request<Page>('GET', '/notifications')
  const [follow] = page.items
  queries.setQueryData(['notifications'], { pages: [page, { items: [], nextCursor: null }], pageParams: [] })
  queries.setQueryData(['notifications', 'mine'], page.items)
  queries.setQueryData(['notifications', 'mine', follow?.id], follow)
  queries.setQueryData(['notifications', 'odd'], 'no notifications at all')
  queries.setQueryData(['posts', 'all'], { pages: [{ items: [{ ...post, likeCount: 0, commentCount: 0 }] }] })
  queries.setQueryData(['post', post.id], { ...post, likeCount: 0, commentCount: 0 })
  t.teardown(bindQueryClient(client, queries))
  t.teardown(client.watch({ posts: [post.id] }))

  const inPages = () =>
    queries
      .getQueryData<{ pages: Page[] }>(['notifications'])
      ?.pages.map(({ items }) => items.map(({ title }) => title))
  await ben.like(post.id)
  await eventually(() => inPages()?.[0]?.join() === 'ben liked your post,ben followed you')
  await (await system.as('cleo')).like(post.id)
  await eventually(() => inPages()?.[0]?.join() === 'cleo and ben liked your post,ben followed you')
  t.same(
    queries.getQueryData<Notification[]>(['notifications', 'mine'])?.length,
    1,
    'what has a filter gets nothing new',
  )

  void client.read([follow?.id ?? ''])
  t.ok(queries.getQueryData<Notification[]>(['notifications', 'mine'])?.[0]?.readAt, 'before the server knows')
  t.ok(queries.getQueryData<Notification>(['notifications', 'mine', follow?.id])?.readAt)
  await ben.unfollow(ana.id)
  await client.delete([follow?.id ?? ''])
  await eventually(() => inPages()?.[0]?.join() === 'cleo and ben liked your post')
  t.same(queries.getQueryData(['notifications', 'mine']), [])
  t.equal(queries.getQueryData(['notifications', 'odd']), 'no notifications at all')

  await eventually(() => queries.getQueryData<{ likeCount: number }>(['post', post.id])?.likeCount === 2)
  const posts = queries.getQueryData<{ pages: { items: { likeCount: number }[] }[] }>(['posts', 'all'])
  t.equal(posts?.pages[0]?.items[0]?.likeCount, 2)
})

t.test('a response that is older than a change does not hide it', async (t) => {
  const { ana, ben, post, started, client } = await start(t)
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } })
  t.teardown(() => queries.clear())
  t.teardown(bindQueryClient(client, queries))
  t.teardown(client.watch({ posts: [post.id] }))
  await eventually(() => client.liveCounts.getSnapshot().size === 1)
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const fetchLate = (path: string) => async () => {
    const answer = await ana.get(path)
    await held
    return answer
  }
  const requested = Promise.all([
    queries.fetchQuery({ queryKey: ['notifications'], queryFn: fetchLate('/notifications') }),
    queries.fetchQuery({ queryKey: ['posts'], queryFn: fetchLate('/posts') }),
  ])
  const observer = new QueryObserver<Page>(queries, {
    queryKey: ['notifications'],
    queryFn: fetchLate('/notifications'),
  })
  t.teardown(observer.subscribe(() => {}))
  await ben.like(post.id)
  await started.shows('ben liked your post')
  await eventually(() => client.liveCounts.getSnapshot().get(post.id)?.likeCount === 1)
  release()
  const [notifications, posts] = await requested
  t.match([notifications.items.length, posts.items[0].likeCount], [0, 0], 'both were read before')
  await eventually(() => queries.getQueryData<Page>(['notifications'])?.items.length === 1)
  t.equal(queries.getQueryData<{ items: { likeCount: number }[] }>(['posts'])?.items[0]?.likeCount, 1)
})

t.test('a toast appears once, changes in place, and disappears when its notification is read elsewhere', async (t) => {
  const { system, ana, ben, post, started, client } = await start(t)
  const show = (options: ToastOptions = {}) => {
    const toasts = createToasts(client, options)
    const shown: string[] = []
    t.teardown(
      toasts.subscribe(() =>
        shown.push(
          toasts
            .getSnapshot()
            .toasts.map(({ title }) => title)
            .join(),
        ),
      ),
    )
    return { ...toasts, shown, now: () => toasts.getSnapshot().toasts.map(({ title }) => title) }
  }
  await ben.comment(post.id, 'before')
  await started.shows('ben commented on your post')
  const toasts = show({ limit: 1 })
  const brief = show({ seconds: 0 })
  const elsewhere = show({ isOnScreen: () => true })
  t.same(toasts.now(), [], 'none for what was there')

  await ben.like(post.id)
  await eventually(() => toasts.now().join() === 'ben liked your post')
  await (await system.as('cleo')).like(post.id)
  await eventually(() => toasts.now().join() === 'cleo and ben liked your post')
  t.same(toasts.shown, ['ben liked your post', 'cleo and ben liked your post'])
  await ben.follow(ana.id)
  await eventually(() => toasts.now().join() === 'ben followed you')
  t.equal(toasts.getSnapshot().more, 1)

  const items = await client.request<Page>('GET', '/notifications')
  await ana.request('PATCH', `/notifications/${items.items[0]?.id}/read`)
  await eventually(() => toasts.now().join() === 'cleo and ben liked your post')
  await ben.unlike(post.id)
  await eventually(() => toasts.now().join() === 'cleo liked your post')
  toasts.dismissAll()
  t.same(toasts.now(), [])
  await eventually(() => brief.shown.length > 0 && brief.now().length === 0)
  t.same(elsewhere.shown, [], 'none for the page that is open')
})

t.test('the journal records frames and can rebuild the state of any of them', async (t) => {
  const { ana, ben, post, started, client } = await start(t)
  const journal = createJournal(client, { limit: 3 })
  t.teardown(journal.stop)
  await ben.like(post.id)
  await started.shows('ben liked your post')
  await ben.follow(ana.id)
  await started.shows('ben followed you', 'ben liked your post')
  await ben.unlike(post.id)
  await started.shows('ben followed you')
  const past = () =>
    journal.getSnapshot().map((_, index) =>
      journal
        .at(index)
        .items.map(({ title }) => title)
        .join(),
    )
  t.same(past(), ['ben liked your post', 'ben followed you,ben liked your post', 'ben followed you'])
  await client.readAll()
  await eventually(() => journal.at(2).unreadCount === 0)
  t.same(past(), ['ben followed you,ben liked your post', 'ben followed you', 'ben followed you'], 'the oldest goes')
})

t.test('silent notifications have no toast', async (t) => {
  const { ana, ben, post, started, client } = await start(t)
  const always = [{ days: [1, 2, 3, 4, 5, 6, 7], from: '00:00', to: '00:00' }]
  await preferencesOf(client).save({ dnd: { enabled: true, timeZone: 'UTC', windows: always } })
  const toasts = createToasts(client)
  t.teardown(toasts.subscribe(() => {}))
  await ben.like(post.id)
  await started.shows('ben liked your post')
  t.same(toasts.getSnapshot().toasts, [])
  t.equal((await ana.get('/notifications')).items[0].silent, true)
})

t.test(
  'the service worker replaces messages with the same tag, closes those of removed notifications, and focuses an open page',
  async (t) => {
    const worker = fakeWorker()
    handlePush(worker, { icon: '/icon.png' })
    const message = {
      id: '4',
      state: 'e.7',
      unreadCount: 3,
      title: 'Ben liked your post',
      body: null,
      url: '/posts/6#comment-6',
      tag: 'n4',
      silent: false,
      close: ['n3'],
    }
    worker.shown.push(
      { tag: 'n3', close: () => worker.closed.push('n3') },
      { tag: 'n2', close: () => worker.closed.push('n2') },
    )
    await worker.dispatch('push', { data: { json: () => message } })
    t.match(worker.messages, [
      { title: 'Ben liked your post', tag: 'n4', renotify: true, icon: '/icon.png', data: { id: '4' } },
    ])
    t.same(worker.closed, ['n3'])
    t.equal(worker.badge, 3)
    await worker.dispatch('push', { data: { json: () => ({ ...message, unreadCount: 0, silent: true }) } })
    t.match(worker.messages[1], { silent: true, renotify: false })
    t.equal(worker.badge, 0)

    const click = () =>
      worker.dispatch('notificationclick', {
        notification: { data: { id: '4', url: '/posts/6#comment-6' }, close() {} },
      })
    await click()
    t.same(worker.opened, ['https://example.org/posts/6?rp-opened=4#comment-6'])
    const late: (() => void)[] = []
    let taken = 0
    const page = (focused: boolean, answers: boolean) => ({
      url: 'https://example.org/',
      focused,
      focus: async () => worker.focused.push(focused),
      postMessage(sent: unknown, [port]: MessagePort[]) {
        worker.sent.push(sent)
        const answer = () => port?.postMessage(true)
        if (port)
          port.onmessage = () => {
            taken += 1
            port.close()
          }
        if (answers) answer()
        else late.push(answer)
      },
    })
    worker.pages.push(page(false, true), page(true, false))
    await click()
    const sent = { type: 'ravenpost:open', id: '4', url: '/posts/6#comment-6' }
    t.same(worker.sent, [sent, sent], 'the focused page is asked first, which does not show notifications')
    t.same(worker.focused, [false])
    t.equal(worker.opened.length, 1)
    await eventually(() => taken === 1)
    worker.pages.shift()
    await click()
    t.equal(worker.opened.length, 2, 'a click is not lost in a page that does not answer')
    for (const answer of late) answer()
    await setTimeout(100)
    t.equal(taken, 1, 'a page that answers too late is not told to go on')
  },
)

t.test('a click on a push message stays below the start page of an application', async (t) => {
  const worker = fakeWorker('/shop/')
  handlePush(worker, { home: './' })
  const click = (url?: string) =>
    worker.dispatch('notificationclick', { notification: { data: { id: '4', url }, close() {} } })
  for (const url of ['/posts/6', undefined, 'https://example.com/9', 'https://example.org/shop/posts/6'])
    await click(url)
  t.same(worker.opened, [
    'https://example.org/shop/posts/6?rp-opened=4',
    'https://example.org/shop/?rp-opened=4',
    'https://example.com/9',
    'https://example.org/shop/posts/6?rp-opened=4',
  ])
  const other = fakeWorker('/shop/')
  handlePush(other, { home: '/shop/index.html?source=push' })
  for (const url of ['/posts/6', undefined])
    await other.dispatch('notificationclick', { notification: { data: { id: '4', url }, close() {} } })
  t.same(other.opened, [
    'https://example.org/shop/posts/6?rp-opened=4',
    'https://example.org/shop/index.html?source=push&rp-opened=4',
  ])
  worker.pages.push({
    url: 'https://example.org/shop/posts',
    focused: true,
    focus: async () => {},
    postMessage(sent: unknown, [port]: MessagePort[]) {
      worker.sent.push(sent)
      if (port) port.onmessage = () => port.close()
      port?.postMessage(true)
    },
  })
  await click('/posts/6')
  t.match(worker.sent, [{ url: '/posts/6' }], 'as the application wrote it')
})

/** The scope of a service worker: there is none outside of a browser. */
function fakeWorker(folder = '/') {
  const listeners = new Map<string, (event: never) => void>()
  const worker = {
    messages: [] as object[],
    shown: [] as { tag: string; close(): void }[],
    closed: [] as string[],
    opened: [] as string[],
    sent: [] as unknown[],
    focused: [] as boolean[],
    pages: [] as {
      url: string
      focused: boolean
      focus(): Promise<unknown>
      postMessage(message: unknown, ports: MessagePort[]): void
    }[],
    badge: -1,
    location: { href: `https://example.org${folder}sw.js` },
    navigator: {
      async setAppBadge(count: number) {
        worker.badge = count
      },
      async clearAppBadge() {
        worker.badge = 0
      },
    },
    registration: {
      async showNotification(title: string, options: object) {
        worker.messages.push({ title, ...options })
      },
      getNotifications: async () => worker.shown,
    },
    clients: {
      matchAll: async () => worker.pages,
      openWindow: async (url: string) => worker.opened.push(url),
    },
    addEventListener: (type: string, listener: (event: never) => void) => void listeners.set(type, listener),
    async dispatch(type: string, event: object) {
      const work: Promise<unknown>[] = []
      listeners.get(type)?.({ ...event, waitUntil: (promise: Promise<unknown>) => work.push(promise) } as never)
      await Promise.all(work)
    },
  }
  return worker
}

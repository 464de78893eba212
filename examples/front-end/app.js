// A front end written from docs/front-end.md and /openapi.json: sign-in, feed, likes, and a bell with badge and a live list.
const at = (id) => document.getElementById(id)
const BASE = '/api'

// Tokens: the access token in memory, the refresh token in a cookie, one refresh at a time in all tabs.
let session
let refreshing

async function send(method, path, body) {
  const response = await fetch(BASE + path, {
    method,
    headers: {
      ...(session && { authorization: `Bearer ${session.accessToken}` }),
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
  const answer = response.status === 204 ? undefined : await response.json()
  if (!response.ok)
    throw Object.assign(new Error(answer.detail ?? answer.title), { code: answer.code, status: response.status })
  return answer
}

function refresh() {
  refreshing ??= navigator.locks
    .request('refresh', async () => begin(await send('POST', '/auth/refresh', {})))
    .finally(() => {
      refreshing = undefined
    })
  return refreshing
}

async function call(method, path, body) {
  try {
    return await send(method, path, body)
  } catch (error) {
    if (error.status !== 401) throw error
    await refresh()
    return send(method, path, body)
  }
}

function begin(answer) {
  session = answer
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'token', token: session.accessToken }))
  setTimeout(() => refresh().catch(showSignIn), (session.expiresIn - 60) * 1000)
}

// The inbox: items by id, and the state and the counts that belong to it.
let inbox = { state: undefined, unreadCount: 0, items: new Map() }
let socket
let isSynced = false
let posts = []

const numberOf = (state) => Number(state.split('.')[1])
const epochOf = (state) => state.split('.')[0]

async function fetchList() {
  const { items, state, unreadCount } = await call('GET', '/notifications?limit=20')
  inbox = { state, unreadCount, items: new Map(items.map((item) => [item.id, item])) }
  showInbox()
}

async function apply(changes) {
  if (epochOf(changes.to) !== epochOf(inbox.state)) return fetchList()
  if (numberOf(changes.to) <= numberOf(inbox.state)) return
  if (numberOf(changes.from) > numberOf(inbox.state))
    return apply(await call('GET', `/notifications/changes?since=${inbox.state}`))
  for (const id of changes.removes) inbox.items.delete(id)
  for (const item of changes.upserts) {
    const former = inbox.items.get(item.id)
    const isNews = former === undefined || former.updatedAt < item.updatedAt
    if (isSynced && isNews && !item.silent && !item.readAt) at('toast').textContent = item.title
    if (item.archivedAt) inbox.items.delete(item.id)
    else inbox.items.set(item.id, item)
  }
  inbox.state = changes.to
  if (!changes.more) inbox.unreadCount = changes.unreadCount
  showInbox()
}

function connect() {
  isSynced = false
  socket = new WebSocket(`${location.origin.replace('http', 'ws')}${BASE}/ws`, 'ravenpost.v1')
  socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', token: session.accessToken, since: inbox.state }))
  let work = Promise.resolve()
  socket.onmessage = ({ data }) => {
    work = work.then(() => heard(JSON.parse(data)))
  }
  socket.onclose = async ({ code }) => {
    if ([4400, 4403, 1009].includes(code)) return
    await new Promise((resolve) => setTimeout(resolve, code === 4429 ? 60_000 : 500 + Math.random() * 2000))
    if (code === 4401) await refresh().catch(showSignIn)
    if (session) connect()
  }
}

async function heard(frame) {
  if (frame.type === 'welcome') socket.send(JSON.stringify({ type: 'watch', posts }))
  if (frame.type === 'reset') await fetchList()
  if (frame.type === 'changes') {
    await apply(frame)
    socket.send(JSON.stringify({ type: 'ack', state: frame.to }))
  }
  if (frame.type === 'synced') isSynced = true
  if (frame.type === 'counts') for (const { id, likeCount } of frame.posts) showLikes(id, likeCount)
}

function showInbox() {
  at('badge').textContent = inbox.unreadCount
  const newestFirst = [...inbox.items.values()].sort((one, other) => other.updatedAt.localeCompare(one.updatedAt))
  at('list').replaceChildren(
    ...newestFirst.map((item) => {
      const row = document.createElement('li')
      const link = Object.assign(document.createElement('a'), { href: item.url ?? '#', textContent: item.title })
      link.style.fontWeight = item.readAt ? 'normal' : 'bold'
      link.onclick = (event) => {
        event.preventDefault()
        call('PATCH', `/notifications/${item.id}/read`)
      }
      row.append(link, document.createTextNode(item.body ? ` ${item.body}` : ''))
      return row
    }),
  )
}

// The feed.
async function showFeed() {
  const { items } = await call('GET', '/posts?scope=all')
  at('feed').replaceChildren(
    ...items.map(({ id, author, body, likeCount, viewer }) => {
      const article = document.createElement('article')
      const like = Object.assign(document.createElement('button'), { id: `like-${id}` })
      let liked = viewer.liked
      like.onclick = async () => {
        const answer = await call(liked ? 'DELETE' : 'POST', `/posts/${id}/like`)
        liked = answer.liked
        showLikes(id, answer.likeCount)
      }
      article.append(`${author.displayName}: ${body} `, like)
      like.textContent = `Like ${likeCount}`
      return article
    }),
  )
  posts = items.map(({ id }) => id)
}

function showLikes(id, likeCount) {
  const button = at(`like-${id}`)
  if (button) button.textContent = `Like ${likeCount}`
}

// The page.
async function start() {
  at('sign-in').hidden = true
  document.querySelector('main').hidden = false
  await fetchList()
  await showFeed()
  connect()
}

function showSignIn() {
  session = undefined
  socket?.close()
  at('sign-in').hidden = false
  document.querySelector('main').hidden = true
}

at('sign-in').onsubmit = async (event) => {
  event.preventDefault()
  const form = new FormData(event.target)
  try {
    begin(await send('POST', '/auth/signin?cookie=true', Object.fromEntries(form)))
    await start()
  } catch (error) {
    document.querySelector('output').textContent = error.message
  }
}

at('bell').onclick = () => {
  at('list').hidden = !at('list').hidden
  if (!at('list').hidden) call('POST', '/notifications/seen', { upTo: inbox.state })
}

refresh().then(start, showSignIn)

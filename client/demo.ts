import { isDeepStrictEqual } from 'node:util'
import { Device } from './demo/device.ts'
import { badge, closes, counts, loses, shows } from './demo/effects.ts'
import { type Created, Person } from './demo/person.ts'
import { startTimeline } from './demo/timeline.ts'

/**
 * `npm run demo`: three people with four devices. A step says who does what, and what must be seen because of it:
 * `shows(devices, title, badge)`. Ends with status 1 when something is not seen within five seconds.
 */
const url = process.env.RAVENPOST_URL ?? `http://127.0.0.1:${process.env.PORT ?? 3000}`
const socketUrl = process.env.RAVENPOST_SOCKET_URL ?? `${url.replace(/^http/, 'ws')}/ws`
const { step, check, end } = startTimeline()

const ready = await fetch(`${url}/readyz`).catch(() => undefined)
if (!ready?.ok) {
  const answer = ready ? `${ready.status} at ${url}/readyz` : `nothing at ${url}`
  console.error(
    `Ravenpost answers ${answer}: type \`npm start\` in another terminal, then \`npm run demo\` again. RAVENPOST_URL names another address.`,
  )
  process.exit(1)
}
try {
  await story()
  end()
} catch (error) {
  console.error(`            ✗ ${error instanceof Error ? error.message : error}`)
  process.exit(1)
}

async function story(): Promise<void> {
  const [ana, ben, cleo] = await step('Ana, Ben and Cleo sign up', () =>
    Promise.all([Person.signUp(url, 'Ana'), Person.signUp(url, 'Ben'), Person.signUp(url, 'Cleo')]),
  )
  const anaOnLaptop = await step('Ana signs in on her laptop too', () => ana.signInAgain())
  const phone = new Device(url, socketUrl, "Ana's phone", ana)
  const laptop = new Device(url, socketUrl, "Ana's laptop", anaOnLaptop)
  const bens = new Device(url, socketUrl, "Ben's phone", ben)
  const cleos = new Device(url, socketUrl, "Cleo's phone", cleo)
  const both = [phone, laptop]
  await step('Each device opens a websocket', () =>
    Promise.all([...both, bens, cleos].map((device) => device.connect())),
  )

  await step('Ben follows Ana', () => ben.post(`/users/${ana.id}/follow`), shows(both, 'Ben followed you', 1))
  await step(
    'Cleo follows Ana',
    () => cleo.post(`/users/${ana.id}/follow`),
    shows(both, 'Cleo and Ben followed you', 1),
  )
  const morning: Created = await step(
    'Ana posts "Good morning @cleo"',
    () => ana.post('/posts', { body: `Good morning @${cleo.username}` }),
    shows([cleos], 'Ana mentioned you in a post', 1),
  )
  const like = `/posts/${morning.id}/like`
  const comments = `/posts/${morning.id}/comment`
  await step('Ben looks at it', () => bens.watch(morning.id), counts(bens, morning, 0, 0))
  await step('Ben likes it', () => ben.post(like), shows(both, 'Ben liked your post', 2))
  await step(
    'Cleo likes it',
    () => cleo.post(like),
    shows(both, 'Cleo and Ben liked your post', 2),
    counts(bens, morning, 2, 0),
  )
  const coffee: Created = await step(
    'Ben comments "Coffee?", which Ana hears of with all comments of that minute',
    () => ben.post(comments, { body: 'Coffee?' }),
    counts(bens, morning, 2, 1),
  )
  await step(
    'Ana replies "Yes!"',
    () => ana.post(comments, { body: 'Yes!', parentId: coffee.id }),
    shows([bens], 'Ana replied to your comment', 1),
    counts(bens, morning, 2, 2),
  )
  await step(
    'Cleo comments "@ben one for me"',
    () => cleo.post(comments, { body: `@${ben.username} one for me` }),
    shows([bens], 'Cleo mentioned you in a comment', 2),
  )

  // A device that comes back says which state it holds, and is sent what came after it.
  await step("Ana's laptop loses its connection", () => laptop.drop())
  const [phoneFrames, laptopFrames] = [phone.changes.length, laptop.changes.length]
  await step('Cleo takes her like back', () => cleo.delete(like), shows([phone], 'Ben liked your post', 2))
  await step('Ben takes his back', () => ben.delete(like), loses([phone], 'Ben liked your post', 1))
  await step(
    'Ben posts "Where is @ana?"',
    () => ben.post('/posts', { body: `Where is @${ana.username}?` }),
    shows([phone], 'Ben mentioned you in a post', 2),
  )
  const mention = phone.find('Ben mentioned you in a post')
  await step('Ana reads that on her phone', () => ana.patch(`/notifications/${mention?.id}/read`), badge([phone], 1))
  await step("Ana's laptop connects again", () => laptop.connect())
  const missed = [...new Set(phone.changedSince(phoneFrames))]
  const caughtUp = laptop.changedSince(laptopFrames)
  check(`Ana's laptop is sent the ${missed.length} it missed, each once`, isDeepStrictEqual(caughtUp, missed))
  check("Ana's laptop shows what her phone shows", isDeepStrictEqual(laptop.content(), phone.content()))

  await step('Ana reads everything on her phone', () => ana.patch('/notifications/mark-all-read'), badge(both, 0))

  const night: Created = await step('Ana posts "Good night"', () => ana.post('/posts', { body: 'Good night' }))
  const likeNight = `/posts/${night.id}/like`
  await step('Cleo likes it', () => cleo.post(likeNight), shows(both, 'Cleo liked your post', 1))
  await step('Cleo takes it back', () => cleo.delete(likeNight), loses(both, 'Cleo liked your post', 0))
  await step(
    'Ana deletes her first post',
    () => ana.delete(`/posts/${morning.id}`),
    loses([bens], 'Cleo mentioned you in a comment', 0),
    loses([cleos], 'Ana mentioned you in a post', 0),
  )
  await step(
    'Cleo deletes her account',
    () => cleo.deleteAccount(),
    closes(cleos, 4403),
    shows(both, 'Ben followed you', 0),
  )

  for (const device of [phone, laptop, bens]) {
    const list = await device.list()
    check(
      `${device.name} holds what GET /notifications lists`,
      isDeepStrictEqual(device.content(), device.content(list)),
    )
    check(`${device.name} was sent every change once, in order`, device.gaps === 0)
    device.close()
  }
}

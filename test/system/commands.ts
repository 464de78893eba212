import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Notification } from '../../src/protocol/notification.ts'
import type { TestClient } from '../client.ts'
import type { Device } from './device.ts'

/** The users and their content. Ids of deleted content stay, so that later actions on them are tried too. */
export type World = {
  users: TestClient[]
  devices: Device[]
  /** Devices without socket, which ask over REST. */
  pollers: Device[]
  posts: { id: string; author: TestClient }[]
  comments: { id: string; postId: string; author: TestClient }[]
}

/** An action of a user. `one` and `other` choose among the content that exists when it runs. */
export type Command = { verb: Verb; who: number; one: number; other: number }

type Verb = keyof typeof verbs
type Do = (world: World, me: TestClient, command: Command) => Promise<unknown>

/** Each with how often it is drawn. */
const weights: Record<Verb, number> = {
  post: 2,
  deletePost: 1,
  like: 8,
  unlike: 5,
  follow: 3,
  unfollow: 2,
  comment: 4,
  reply: 3,
  deleteComment: 2,
  read: 4,
  readOverSocket: 2,
  readAll: 1,
  unread: 2,
  archive: 2,
  unarchive: 2,
  remove: 1,
  seen: 2,
  list: 2,
  poll: 3,
  acknowledge: 2,
  cut: 3,
  resume: 4,
  startAfresh: 1,
}

export const command: fc.Arbitrary<Command> = fc.record({
  verb: fc.oneof(
    ...Object.entries(weights).map(([verb, weight]) => ({ weight, arbitrary: fc.constant(verb as Verb) })),
  ),
  who: fc.nat(3),
  one: fc.nat(30),
  other: fc.nat(30),
})

export async function run(world: World, command: Command): Promise<void> {
  const me = pick(world.users, command.who)
  if (me) await verbs[command.verb](world, me, command)
}

const act =
  (method: string, path: (world: World, command: Command) => string | undefined): Do =>
  async (world, me, command) => {
    const at = path(world, command)
    if (at === undefined) return
    const { status } = await me.request(method, at)
    assert.ok([200, 204, 404, 422].includes(status), `${method} ${at} answered ${status}`)
  }

const post = (suffix: string) => (world: World, command: Command) => {
  const chosen = pick(world.posts, command.one)
  return chosen && `/posts/${chosen.id}/${suffix}`
}

const person = (suffix: string) => (world: World, command: Command) => {
  const chosen = pick(world.users, command.one)
  return chosen && `/users/${chosen.id}/${suffix}`
}

const verbs = {
  async post(world: World, me: TestClient, { other }: Command) {
    const { id } = await me.post(`hello ${mention(world, other)}`)
    world.posts.push({ id, author: me })
  },
  async deletePost(world: World, _me: TestClient, { one }: Command) {
    const chosen = pick(world.posts, one)
    if (!chosen) return
    const { status } = await chosen.author.request('DELETE', `/posts/${chosen.id}`)
    assert.ok([204, 404].includes(status), `deleting a post answered ${status}`)
  },
  like: act('POST', post('like')),
  unlike: act('DELETE', post('like')),
  follow: act('POST', person('follow')),
  unfollow: act('POST', person('unfollow')),
  async comment(world: World, me: TestClient, { one, other }: Command) {
    const chosen = pick(world.posts, one)
    if (chosen) await write(world, me, chosen.id, undefined, other)
  },
  async reply(world: World, me: TestClient, { one, other }: Command) {
    const chosen = pick(world.comments, one)
    if (chosen) await write(world, me, chosen.postId, chosen.id, other)
  },
  async deleteComment(world: World, _me: TestClient, { one }: Command) {
    const chosen = pick(world.comments, one)
    if (!chosen) return
    const { status } = await chosen.author.request('DELETE', `/comments/${chosen.id}`)
    assert.ok([204, 404].includes(status), `deleting a comment answered ${status}`)
  },
  read: onHeld('PATCH', 'read'),
  async readOverSocket(world: World, _me: TestClient, { one, other }: Command) {
    const device = pick(world.devices, one)
    const chosen = pick([...(device?.inbox.items ?? [])], other)
    if (device?.connected && chosen) device.socket?.send({ type: 'read', ids: [chosen.id] })
  },
  readAll: act('PATCH', () => '/notifications/mark-all-read'),
  unread: onHeld('PATCH', 'unread'),
  archive: onHeld('PATCH', 'archive'),
  async unarchive(_world: World, me: TestClient, { other }: Command) {
    const { items }: { items: Notification[] } = await me.get('/notifications?filter=archived')
    const chosen = pick(items, other)
    if (chosen) await change(me, 'PATCH', `/notifications/${chosen.id}/unarchive`)
  },
  remove: onHeld('DELETE', ''),
  async seen(world: World, _me: TestClient, { one }: Command) {
    const device = pick(world.devices, one)
    const upTo = device?.inbox.state
    if (device && upTo) assert.equal((await device.user.request('POST', '/notifications/seen', { upTo })).status, 200)
  },
  async list(_world: World, me: TestClient) {
    const { items, unreadCount, unseenCount } = await me.get('/notifications?limit=100')
    const unread = items.filter((item: Notification) => item.readAt === null).length
    const unseen = items.filter((item: Notification) => !item.seen).length
    assert.deepEqual(
      { unreadCount, unseenCount },
      { unreadCount: unread, unseenCount: unseen },
      'counts of one snapshot',
    )
  },
  async poll(world: World, _me: TestClient, { one, other }: Command) {
    await pick(world.pollers, one)?.poll(1 + (other % 5))
  },
  async acknowledge(world: World, _me: TestClient, { one }: Command) {
    const device = pick(world.devices, one)
    if (device?.connected && device.inbox.state) device.socket?.send({ type: 'ack', state: device.inbox.state })
  },
  async cut(world: World, _me: TestClient, { one }: Command) {
    pick(world.devices, one)?.disconnect()
  },
  async resume(world: World, _me: TestClient, { one }: Command) {
    await pick(world.devices, one)?.connect()
  },
  async startAfresh(world: World, _me: TestClient, { one }: Command) {
    await pick(world.devices, one)?.connect({ afresh: true })
  },
}

/** One of what this user's devices show, or showed a moment ago. */
function onHeld(method: string, verb: string): Do {
  return async (world, me, { one, other }) => {
    const device = pick(
      world.devices.filter(({ user }) => user === me),
      one,
    )
    const chosen = pick([...(device?.inbox.items ?? [])], other)
    if (chosen) await change(me, method, `/notifications/${chosen.id}${verb && `/${verb}`}`)
  }
}

async function change(me: TestClient, method: string, path: string): Promise<void> {
  const { status } = await me.request(method, path)
  assert.ok([200, 404].includes(status), `${method} ${path} answered ${status}`)
}

async function write(world: World, me: TestClient, postId: string, parentId: string | undefined, other: number) {
  const body = `I say ${mention(world, other)}`
  const answer = await me.request('POST', `/posts/${postId}/comment`, { body, parentId })
  assert.ok([201, 404].includes(answer.status), `commenting answered ${answer.status}`)
  if (answer.status === 201) world.comments.push({ id: answer.body.id, postId, author: me })
}

/** Every second text has no mention. */
function mention({ users }: World, choice: number): string {
  return choice % 2 === 0 ? '' : `@${pick(users, choice >> 1)?.username}`
}

function pick<T>(values: T[], choice: number): T | undefined {
  return values[choice % values.length]
}

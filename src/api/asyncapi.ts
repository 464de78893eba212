import type { TSchema } from '@sinclair/typebox'
import type { Config } from '../config.ts'
import { closeCodes } from '../protocol/close-codes.ts'
import { clientFrames, SUBPROTOCOL, serverFrames } from '../protocol/frames.ts'
import { referToComponents } from './components.ts'
import { exampleOf } from './examples.ts'

const summaries: Record<keyof typeof clientFrames | keyof typeof serverFrames, string> = {
  hello: 'First frame: the access token and the state that the client holds',
  ack: 'Acknowledges everything up to this state',
  read: 'Marks notifications as read',
  unread: 'Marks notifications as unread',
  archive: 'Archives notifications',
  unarchive: 'Unarchives notifications',
  delete: 'Deletes notifications',
  readAll: 'Marks everything up to this state as read',
  seen: 'Marks everything up to this state as seen',
  watch: 'Live counts of posts, comments of a post and posts of a feed; replaces the previous watch',
  token: 'A new access token of the same user',
  ping: 'Answered by pong; for browsers',
  welcome: 'The hello was accepted',
  changes: 'Changes between two states',
  synced: 'The catch-up is complete',
  reset: 'Sent instead of a catch-up: fetch the list',
  counts: 'Counts of watched posts',
  comments: 'New and removed comments of the watched post',
  feed: 'Number of posts in the watched feed that are newer than the watch',
  ok: 'A frame was carried out',
  error: 'A frame was not understood, or failed',
  pong: 'Answer to ping',
}

/** The websocket as AsyncAPI 3, generated from the schemas that validate the frames. */
export function describeSocket({ publicUrl, basePath, port }: Pick<Config, 'publicUrl' | 'basePath' | 'port'>): object {
  const { host, protocol } = new URL(publicUrl ?? `http://localhost:${port}`)
  const pathname = basePath === '' ? {} : { pathname: basePath }
  const messages = referToComponents({ ...messagesOf(clientFrames), ...messagesOf(serverFrames) })
  const closes = Object.values(closeCodes).map(([code, reason]) => `\n- ${code}: ${reason}`)
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Ravenpost, live',
      version: '0.1.0',
      license: { name: 'MIT' },
      description: `Frames are JSON in text messages. The first frame is \`hello\`. Close codes:${closes.join('')}`,
    },
    defaultContentType: 'application/json',
    servers: { ravenpost: { host, protocol: protocol === 'https:' ? 'wss' : 'ws', ...pathname } },
    channels: {
      socket: {
        address: '/ws',
        description: `One socket of one user; subprotocol \`${SUBPROTOCOL}\``,
        messages: Object.fromEntries(
          [...namesOf(clientFrames), ...namesOf(serverFrames)].map((name) => [
            name,
            reference('components/messages', name),
          ]),
        ),
      },
    },
    operations: {
      fromClient: operation('receive', 'What a client sends', namesOf(clientFrames)),
      fromServer: operation('send', 'What the server sends', namesOf(serverFrames)),
    },
    components: { messages: messages.part, schemas: messages.schemas },
  }
}

type Name = keyof typeof summaries

function namesOf(frames: Partial<Record<Name, TSchema>>): Name[] {
  // `Object.keys` returns `string[]`; the keys of this literal are known.
  return Object.keys(frames) as Name[]
}

function operation(action: 'send' | 'receive', summary: string, names: Name[]): object {
  const messages = names.map((name) => reference('channels/socket/messages', name))
  return { action, summary, channel: { $ref: '#/channels/socket' }, messages }
}

function reference(place: string, name: string): object {
  return { $ref: `#/${place}/${name}` }
}

function messagesOf(frames: Partial<Record<Name, TSchema>>): Record<string, object> {
  return Object.fromEntries(
    Object.entries(frames).map(([name, payload]) => [
      name,
      { name, summary: summaries[name as Name], payload, examples: [{ payload: exampleOf(payload) }] },
    ]),
  )
}

import type { Test } from 'tap'
import { type ConnectionStatus, createRavenpost, type Options, type Ravenpost } from '../../client/src/core.ts'
import type { TestClient } from '../client.ts'
import { eventually } from '../setup.ts'

export type StartedClient = {
  client: Ravenpost
  /** Every status so far, with its close code. */
  statuses: [status: ConnectionStatus, closeCode: number | undefined][]
  /** Waits until the client has been live this often. */
  live(times?: number): Promise<unknown>
  titles(): string[]
  /** The title of every notification that was shown so far, however briefly. */
  shown: Set<string>
  /** Waits until these titles are shown, in this order. */
  shows(...titles: string[]): Promise<unknown>
}

type Create = (options: Options) => Ravenpost

/** The client package as an app uses it, for this person; stopped when the test ends. */
export function startClient(
  t: Test,
  person: TestClient,
  options: Partial<Options> & { url: string },
  create: Create = createRavenpost,
): StartedClient {
  const client = create({ getToken: () => person.accessToken, ...options })
  const statuses: StartedClient['statuses'] = []
  client.connection.subscribe(() => {
    const { status, closeCode } = client.connection.getSnapshot()
    if (statuses.at(-1)?.[0] !== status) statuses.push([status, closeCode])
  })
  const titles = () => client.inbox.getSnapshot().items.map(({ title }) => title)
  const shown = new Set<string>()
  client.inbox.subscribe(() => {
    for (const title of titles()) shown.add(title)
  })
  t.teardown(() => client.stop())
  client.start()
  return {
    client,
    statuses,
    live: (times = 1) => eventually(() => statuses.filter(([status]) => status === 'live').length >= times, 20),
    titles,
    shown,
    shows: (...expected) => eventually(() => titles().join() === expected.join()),
  }
}

import type { Test } from 'tap'
import type { HeldInbox } from '../../client/held-inbox.ts'
import { type Options, RavenpostClient, type Status } from '../../client/ravenpost-client.ts'
import type { TestClient } from '../client.ts'
import { eventually } from '../setup.ts'

export type StartedClient = {
  client: RavenpostClient
  inbox: HeldInbox
  /** Every status so far, with its close code. */
  statuses: [status: Status, closeCode?: number | undefined][]
  /** Waits until the client has been live this often. */
  live(times?: number): Promise<unknown>
  titles(): string[]
}

/** The client library as an app uses it, for this person; stopped when the test ends. */
export function startClient(t: Test, person: TestClient, options: Partial<Options> & { url: string }): StartedClient {
  const statuses: StartedClient['statuses'] = []
  const client = new RavenpostClient({
    token: () => person.accessToken,
    onStatus: (...status) => statuses.push(status),
    ...options,
  })
  t.teardown(() => client.stop())
  client.start()
  return {
    client,
    inbox: client.inbox,
    statuses,
    live: (times = 1) => eventually(() => statuses.filter(([status]) => status === 'live').length >= times, 20),
    titles: () => client.inbox.items.map(({ title }) => title),
  }
}

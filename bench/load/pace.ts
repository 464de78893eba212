import { HttpConnection, type OnAnswer } from './http.ts'

/** The next request, or undefined when there are no more. `dueAt`: when it should be sent, in milliseconds. */
export type NextRequest = (dueAt: number) => { text: string; onAnswer: OnAnswer } | undefined

/** Sends requests one after the other on each of `connections`, for the given time. */
export async function closedLoop(
  url: string,
  connections: number,
  seconds: number,
  next: NextRequest,
): Promise<{ seconds: number }> {
  const startedAt = performance.now()
  const endAt = startedAt + seconds * 1000
  const pool = Array.from({ length: connections }, () => new HttpConnection(url))
  const run = (connection: HttpConnection) =>
    new Promise<void>((resolve) => {
      const step = () => {
        const now = performance.now()
        const request = now < endAt && connection.open ? next(now) : undefined
        if (!request) return resolve()
        connection.send(request.text, (status, body) => {
          request.onAnswer(status, body)
          step()
        })
      }
      step()
    })
  await Promise.all(pool.map(run))
  for (const connection of pool) connection.close()
  return { seconds: (performance.now() - startedAt) / 1000 }
}

/** Sends requests at a fixed rate, however slow the answers are. A request that waits for a free connection counts from its due time. */
export async function openLoop(
  url: string,
  rate: number,
  seconds: number,
  next: NextRequest,
  maxConnections = 512,
): Promise<{ sent: number; mostWaiting: number }> {
  const total = Math.floor(rate * seconds)
  const free: HttpConnection[] = Array.from({ length: 32 }, () => new HttpConnection(url))
  const all = new Set(free)
  const waiting: { text: string; onAnswer: OnAnswer }[] = []
  let [sent, answered, mostWaiting] = [0, 0, 0]

  return new Promise((resolve) => {
    const send = (connection: HttpConnection, request: { text: string; onAnswer: OnAnswer }) =>
      connection.send(request.text, (status, body) => {
        request.onAnswer(status, body)
        answered += 1
        if (!connection.open) all.delete(connection)
        const follower = waiting.shift()
        if (follower) send(connection.open ? connection : open(), follower)
        else if (connection.open) free.push(connection)
        if (answered === total) finish()
      })
    const open = () => {
      const connection = new HttpConnection(url)
      all.add(connection)
      return connection
    }
    const startedAt = performance.now()
    const timer = setInterval(() => {
      // The first request is due at once.
      const due = Math.min(total, Math.floor(((performance.now() - startedAt) * rate) / 1000) + 1)
      for (; sent < due; sent++) {
        const request = next(startedAt + (sent * 1000) / rate)
        if (!request) {
          answered += 1
          continue
        }
        const connection = free.pop() ?? (all.size < maxConnections ? open() : undefined)
        if (connection) send(connection, request)
        else waiting.push(request)
        mostWaiting = Math.max(mostWaiting, waiting.length)
      }
      if (sent === total) clearInterval(timer)
      if (answered === total) finish()
    }, 1)
    const finish = () => {
      clearInterval(timer)
      for (const connection of all) connection.close()
      resolve({ sent, mostWaiting })
    }
  })
}

import { Readable } from 'node:stream'

/**
 * Streams text whose first part is read before the answer begins, so that an error there becomes an ordinary problem. A
 * later one cuts the connection, so that nobody takes a part for the whole.
 */
export async function streamOf(parts: AsyncGenerator<string>): Promise<Readable> {
  const first = await parts.next()
  return Readable.from(followedBy(first, parts), { objectMode: false })
}

async function* followedBy(first: IteratorResult<string>, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  if (first.done) return
  yield first.value
  yield* rest
}

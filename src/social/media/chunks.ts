/** A row of social.media_chunks: large enough to be few, small enough that a slow reader costs little. */
export const CHUNK_BYTES = 256 * 1024

/**
 * The same bytes in pieces of `size`; only the last may be shorter. A piece is valid until the next is asked for: all are
 * views of one buffer, so that a large file does not leave hundreds of dead ones to the garbage collector.
 */
export async function* inChunks(pieces: AsyncIterable<Buffer>, size: number): AsyncGenerator<Buffer, void> {
  const chunk = Buffer.allocUnsafeSlow(size)
  let filled = 0
  for await (const piece of pieces) {
    for (let taken = 0; taken < piece.length; ) {
      const copied = piece.copy(chunk, filled, taken)
      taken += copied
      filled += copied
      if (filled < size) continue
      yield chunk
      filled = 0
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled)
}

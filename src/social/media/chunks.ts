/** Size of a row of social.media_chunks. Large enough for few rows, and small enough for the memory of slow readers. */
export const CHUNK_BYTES = 256 * 1024

/**
 * Splits the stream into pieces of `size`; only the last may be shorter. A piece is valid until the next is requested, because
 * all share one buffer.
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

/**
 * Bytes of a row of social.media_chunks. Large enough for few rows, small enough that a slow reader needs little
 * memory.
 */
export const CHUNK_BYTES = 256 * 1024

/**
 * The same bytes in pieces of `size`; only the last may be shorter. A piece is valid until the next is requested. All
 * pieces share one buffer, so that a large file does not create hundreds of dead buffers.
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

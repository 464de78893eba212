/**
 * Repeats until a chunk finds nothing, or only what another transaction holds. Returns the sum of what the chunks
 * found.
 */
export async function repeatChunk(chunk: () => Promise<number>): Promise<number> {
  let total = 0
  for (let count = await chunk(); count > 0; count = await chunk()) total += count
  return total
}

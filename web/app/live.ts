import type { Events, Ravenpost, Watch } from 'ravenpost-client'

/**
 * Watches, unless the server is older than this app, as during an update: it refuses the whole frame for a property that it does
 * not know, so the wish is taken back and the counts stay live.
 */
export function watchIfKnown(client: Ravenpost, wish: Watch): () => void {
  const names = Object.keys(wish)
  const stop = client.watch(wish)
  const off = client.on('frame', ({ frame }: Events['frame']) => {
    if (frame.type === 'error' && names.some((name) => frame.message.startsWith(`/${name}`))) stop()
  })
  return () => {
    off()
    stop()
  }
}

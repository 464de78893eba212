import { useRavenpost } from 'ravenpost-client/react'
import { type RefObject, useEffect } from 'react'

/** Milliseconds for which scrolling must pause before other posts are watched. */
const SETTLED = 250

/** Live counts for the posts of this element that are in view. */
export function useLiveInView(container: RefObject<HTMLElement | null>, ids: readonly string[]): void {
  const client = useRavenpost()
  const key = ids.join()
  useEffect(() => {
    if (!container.current || key === '') return
    const visible = new Set<string>()
    let stop: (() => void) | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    const observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          const id = target.getAttribute('data-post') ?? ''
          if (isIntersecting) visible.add(id)
          else visible.delete(id)
        }
        clearTimeout(timer)
        timer = setTimeout(() => {
          const before = stop
          stop = visible.size > 0 ? client.watch({ posts: [...visible] }) : undefined
          before?.()
        }, SETTLED)
      },
      { rootMargin: '200px' },
    )
    for (const post of container.current.querySelectorAll('[data-post]')) observer.observe(post)
    return () => {
      observer.disconnect()
      clearTimeout(timer)
      stop?.()
    }
  }, [client, container, key])
}

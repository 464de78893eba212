import { use, useEffect } from 'react'
import { DeviceContext } from '../device.tsx'
import { useWords } from '../words/words.tsx'

/** Names the page in its tab and its history; one side of the demo leaves both alone. */
export function useTitle(title: string | undefined): void {
  const { app } = useWords()
  const wholePage = use(DeviceContext)?.wholePage ?? true
  useEffect(() => {
    if (wholePage && title) document.title = `${title} – ${app.name}`
  }, [wholePage, title, app.name])
}

import { use, useEffect } from 'react'
import { DeviceContext } from '../device.tsx'
import { useWords } from '../words/words.tsx'

/** Sets the title of the page for tab and history, except for one side of the demo. */
export function useTitle(title: string | undefined): void {
  const { app } = useWords()
  const wholePage = use(DeviceContext)?.wholePage ?? true
  useEffect(() => {
    if (wholePage && title) document.title = `${title} – ${app.name}`
  }, [wholePage, title, app.name])
}

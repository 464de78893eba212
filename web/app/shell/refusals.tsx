import { useRavenpost } from 'ravenpost-client/react'
import { useEffect, useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { Alert } from '../../ui/notes.tsx'
import { useWords } from '../words/words.tsx'

/** Shows a message when the server refuses an action that was already shown and is now undone. */
export function Refusals() {
  const { notifications, app } = useWords()
  const client = useRavenpost()
  const [refused, setRefused] = useState(false)
  useEffect(() => client.on('refused', () => setRefused(true)), [client])
  if (!refused) return null
  return (
    <Alert>
      {notifications.refused}
      <Button onClick={() => setRefused(false)}>{app.close}</Button>
    </Alert>
  )
}

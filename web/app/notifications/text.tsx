import type { Notification } from 'ravenpost-client'
import type { ReactNode } from 'react'
import type { Words } from '../words/en.ts'
import { useWords } from '../words/words.tsx'

/** Up to this number of actors, all are named; otherwise the first two and the number of others. */
const ALL_NAMED = 3

/** The title in the language of the page, with names in bold; the server's title for an unknown type. */
export function NotificationText({ notification }: { notification: Notification }): ReactNode {
  const { notifications } = useWords()
  const sentence = sentenceOf(notification, notifications)
  if (sentence === undefined) return <strong>{notification.title}</strong>
  const [before, after] = sentence.split('{who}')
  return (
    <>
      {before}
      <strong>{whoOf(notification, notifications)}</strong>
      {after}
    </>
  )
}

/** The title as plain text. */
export function titleOf(notification: Notification, { notifications }: Words): string {
  const sentence = sentenceOf(notification, notifications)
  return sentence?.replace('{who}', whoOf(notification, notifications)) ?? notification.title
}

function sentenceOf({ type, actorCount }: Notification, { sentences }: Words['notifications']): string | undefined {
  const known: Record<string, ((count: number) => string) | undefined> = sentences
  return known[type]?.(actorCount)
}

function whoOf({ actors, actorCount }: Notification, { people, someone }: Words['notifications']): string {
  const names = actors.map(({ displayName }) => displayName)
  if (names.length === 0) return someone
  const count = Math.max(actorCount, names.length)
  return people(count > ALL_NAMED ? names.slice(0, 2) : names, count)
}

/** The name of a notification type, for settings and filters. */
export function kindOf(type: string, { notifications }: Words): string {
  const names: Record<string, string | undefined> = notifications.types
  return names[type] ?? type
}

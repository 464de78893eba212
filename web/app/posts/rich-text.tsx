import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Mention } from '../answers.ts'

/** A text with links for mentions and URLs. */
export function RichText({ text, mentions = [] }: { text: string; mentions?: readonly Mention[] | undefined }) {
  const parts: ReactNode[] = []
  let end = 0
  for (const { id, start, end: to } of [...mentions].sort((a, b) => a.start - b.start)) {
    if (start < end || to > text.length) continue
    parts.push(...withLinks(text.slice(end, start), start))
    parts.push(
      <Link key={start} to="/users/$userId" params={{ userId: id }}>
        {text.slice(start, to)}
      </Link>,
    )
    end = to
  }
  return <>{[...parts, ...withLinks(text.slice(end), text.length)]}</>
}

function withLinks(text: string, key: number): ReactNode[] {
  return text.split(/(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]])/).map((part, index) =>
    index % 2 === 0 ? (
      part
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: parts of a text have no other identity
      <a key={`${key}-${index}`} href={part} target="_blank" rel="noopener noreferrer nofollow">
        {part}
      </a>
    ),
  )
}

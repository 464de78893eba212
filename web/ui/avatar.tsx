import { type CSSProperties, useState } from 'react'
import styles from './avatar.module.css'

export type Face = { id: string; displayName: string; avatarMediaId: string | null; avatarUrl?: string }

/** A person's picture, or their initial on a colour of their own. The name is beside it, so screen readers skip it. */
export function Avatar({ user, size = 40 }: { user: Face; size?: number }) {
  const style = { '--size': `${size}px`, '--hue': String((Number(user.id) * 67 + 195) % 360) } as CSSProperties
  const source = user.avatarMediaId === null ? user.avatarUrl : `media/${user.avatarMediaId}/stream`
  const [failed, setFailed] = useState<string>()
  if (source !== undefined && source !== failed)
    return (
      <img
        className={styles.avatar}
        style={style}
        src={source}
        alt=""
        loading="lazy"
        // It may be another application's.
        referrerPolicy="no-referrer"
        onError={() => setFailed(source)}
      />
    )
  return (
    <span className={styles.avatar} style={style} aria-hidden="true">
      {[...user.displayName.trim()][0]?.toUpperCase() ?? '?'}
    </span>
  )
}

export function Faces({ users, size = 32 }: { users: readonly Face[]; size?: number }) {
  return (
    <span className={styles.faces}>
      {users.slice(0, 3).map((user) => (
        <Avatar key={user.id} user={user} size={size} />
      ))}
    </span>
  )
}

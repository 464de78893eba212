import { type ReactNode, useState } from 'react'
import type { InboxItem } from '../index.ts'
import { useRavenpost } from '../react/context.ts'
import { useWhy } from '../react/settings.ts'
import { useUi } from './context.tsx'
import { Icon } from './icons.tsx'
import { exactTime, timeAgo } from './times.ts'

/** One notification with its actions, as an `<li>`. */
export function Item({ item, index, count }: { item: InboxItem; index?: number; count?: number }): ReactNode {
  const { part, kinds, strings, open } = useUi()
  const [asks, setAsks] = useState(false)
  const Kind = kinds[item.type]
  const isUnread = item.readAt === null
  return (
    <li
      {...part('item')}
      data-id={item.id}
      data-type={item.type}
      data-severity={item.severity}
      data-unread={isUnread || undefined}
      data-pending={item.pending}
      aria-posinset={index === undefined ? undefined : index + 1}
      aria-setsize={count}
    >
      <Faces item={item} />
      <div {...part('text')}>
        <a
          {...part('link')}
          href={item.url ?? undefined}
          tabIndex={item.url === null ? 0 : undefined}
          onClick={(event) => open(event, item)}
        >
          {Kind ? <Kind item={item} /> : <Text item={item} />}
          {isUnread && <span {...part('hidden')}>, {strings.unread}</span>}
        </a>
        <time {...part('meta')} dateTime={item.updatedAt} title={exactTime(item.updatedAt, strings.locale)}>
          {timeAgo(item.updatedAt, strings.locale)}
        </time>
        {asks && <WhyText id={item.id} onClose={() => setAsks(false)} />}
      </div>
      <Picture item={item} />
      {isUnread && <span {...part('dot')} aria-hidden="true" />}
      <Actions item={item} onWhy={() => setAsks(!asks)} asks={asks} />
    </li>
  )
}

function Text({ item: { title, body, fallback } }: { item: InboxItem }): ReactNode {
  const { part } = useUi()
  return (
    <>
      <span {...part('heading')} dir="auto">
        {title || fallback}
      </span>
      {body !== null && (
        <span {...part('meta')} dir="auto">
          {body}
        </span>
      )}
    </>
  )
}

/** The first picture of the post or comment. */
function Picture({ item: { data } }: { item: InboxItem }): ReactNode {
  const { part, pictureUrl } = useUi()
  if (typeof data.mediaId !== 'string') return null
  return <img {...part('picture')} src={pictureUrl(data.mediaId)} alt="" loading="lazy" width="40" height="40" />
}

export function Faces({ item: { actors, severity } }: { item: InboxItem }): ReactNode {
  const { part, pictureUrl } = useUi()
  if (actors.length === 0)
    return (
      <span {...part('faces')} data-severity={severity}>
        <Icon name={severity === 'info' || severity === 'success' ? 'bell' : 'warning'} />
      </span>
    )
  return (
    <span {...part('faces')} aria-hidden="true">
      {actors.slice(0, 3).map(({ id, displayName, avatarMediaId, avatarUrl }) =>
        avatarMediaId || avatarUrl ? (
          <img
            key={id}
            {...part('face')}
            src={avatarMediaId ? pictureUrl(avatarMediaId) : avatarUrl}
            alt=""
            loading="lazy"
            width="28"
            height="28"
          />
        ) : (
          <span key={id} {...part('face')} data-hue={Number(id) % 6}>
            {[...displayName][0]}
          </span>
        ),
      )}
    </span>
  )
}

function Actions({ item, asks, onWhy }: { item: InboxItem; asks: boolean; onWhy(): void }): ReactNode {
  const client = useRavenpost()
  const { part, strings } = useUi()
  const about = item.title || item.fallback
  const action = (icon: Parameters<typeof Icon>[0]['name'], name: string, act: () => unknown, isOn?: boolean) => (
    <button
      {...part('button')}
      type="button"
      title={name}
      aria-label={`${name}: ${about}`}
      aria-expanded={isOn}
      onClick={() => void act()}
    >
      <Icon name={icon} />
    </button>
  )
  const ids = [item.id]
  return (
    <span {...part('actions')}>
      {item.readAt === null
        ? action('read', strings.markRead, () => client.read(ids))
        : action('unread', strings.markUnread, () => client.unread(ids))}
      {item.archivedAt === null
        ? action('archive', strings.archive, () => client.archive(ids))
        : action('unarchive', strings.unarchive, () => client.unarchive(ids))}
      {action('why', strings.why, onWhy, asks)}
      {action('remove', strings.remove, () => client.delete(ids))}
    </span>
  )
}

/** Explains why the notification was delivered, and to which channels. */
function WhyText({ id, onClose }: { id: string; onClose(): void }): ReactNode {
  const { part, strings } = useUi()
  const { why, error } = useWhy(id)
  return (
    <div {...part('why')} role="status">
      {error && <p>{error.message}</p>}
      {why && (
        <ul>
          {why.decisions.map(({ channel, decision, reason, at }) => (
            <li key={`${channel} ${at}`}>
              <b>{strings.channels[channel as keyof typeof strings.channels] ?? channel}</b>:{' '}
              {strings.decisions[decision]}
              {reason && `, ${reason}`}
            </li>
          ))}
        </ul>
      )}
      <button {...part('button')} type="button" onClick={onClose}>
        {strings.closeWhy}
      </button>
    </div>
  )
}

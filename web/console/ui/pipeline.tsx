import { useNavigate } from '@tanstack/react-router'
import type { CSSProperties } from 'react'
import styles from '../console.module.css'
import { type PipelineEvent, type Stage, useConsole } from '../data.tsx'
import { capped, count, plural, rate, seconds } from '../words.ts'

/** Maximum number of dots per stage and second; above it, only the number shows the rest. */
const MOST_DOTS = 24

/** The stages from a request to a device, with what passed them in the last second. */
export function PipelineView() {
  const { ticks } = useConsole()
  const tick = ticks.at(-1)
  const system = tick?.system
  const events = tick?.events ?? []
  const of = (...stages: Stage[]) => events.filter(({ stage }) => stages.includes(stage))
  const sum = (name: 'eventsPerSecond' | 'framesPerSecond' | 'acknowledgedPerSecond') =>
    system?.processes.reduce((total, { figures }) => total + (figures[name] ?? 0), 0) ?? 0
  const written =
    Number(system?.lastEventId ?? 0) - Number(ticks.at(-2)?.system.lastEventId ?? system?.lastEventId ?? 0)
  const stages = [
    { name: 'Write', dots: of('write'), text: `${count(written)} events/s` },
    {
      name: 'Log',
      dots: of('write'),
      late: (system?.oldestUnreadSeconds ?? 0) > 2,
      text: system?.unreadEvents
        ? `${capped(system.unreadEvents)} unread, ${seconds(system.oldestUnreadSeconds)}`
        : '0 unread',
    },
    { name: 'Dispatch', dots: of('inbox', 'filtered'), text: `${rate(sum('eventsPerSecond'))} events/s` },
    {
      name: 'Inbox',
      dots: of('inbox'),
      waiting: system?.windows ?? 0,
      text: inboxText(of('inbox').length, system?.windows ?? 0),
    },
    { name: 'Push', dots: of('push'), text: `${rate(sum('framesPerSecond'))} frames/s` },
    { name: 'Acknowledged', dots: of('acknowledged'), text: `${rate(sum('acknowledgedPerSecond'))} notifications/s` },
  ]
  return (
    <section className={styles.pipe} aria-label="Pipeline, the last second">
      {stages.map(({ name, dots, text, late, waiting = 0 }) => (
        <div key={name} className={styles.stage} data-late={late || undefined}>
          <b>{name}</b>
          <div className={styles.track} aria-hidden="true">
            {dots.slice(0, MOST_DOTS).map((event, place) => (
              <Dot key={`${tick?.at} ${event.stage} ${event.id}`} event={event} place={place} />
            ))}
            {Array.from({ length: Math.min(waiting, 6) }, (_, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the dots are the same but for their place
              <i key={at} className={styles.waits} style={{ insetInlineStart: `${92 - at * 8}%` }} />
            ))}
          </div>
          <span className={styles.muted}>{text}</span>
        </div>
      ))}
    </section>
  )
}

/** Rows that a tick shows of each stage, at most. */
const MOST_SHOWN = 60

function inboxText(shown: number, windows: number): string {
  const gather = windows > 0 && `${plural(windows, 'window')} ${windows === 1 ? 'gathers' : 'gather'}`
  const changed = shown > 0 && `${shown < MOST_SHOWN ? shown : `${MOST_SHOWN} or more`} changed`
  return [changed, gather].filter(Boolean).join(', ') || 'nothing waits'
}

/** A dot that moves once through its stage; a click opens the inbox that it concerns. */
function Dot({ event, place }: { event: PipelineEvent; place: number }) {
  const navigate = useNavigate()
  const { userId, type, sourceId } = event
  // Delays each dot by its time; those of one transaction follow each other.
  const style = { '--delay': `${new Date(event.at).getMilliseconds() * 0.3 + place * 35}ms` } as CSSProperties
  const open = () => userId && navigate({ to: '/console/$', params: { _splat: `user/${userId}` }, search: {} })
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list of latest events has the same links
    // biome-ignore lint/a11y/noStaticElementInteractions: as above
    <i className={styles.dot} style={style} title={sourceId ?? type ?? event.stage} onClick={() => void open()} />
  )
}

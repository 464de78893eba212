import { useMutation } from '@tanstack/react-query'
import { demoEnabled } from '../../app/demo/enabled.ts'
import { useDevice } from '../../app/device.tsx'
import { newKey } from '../../app/session.ts'
import { Button } from '../../ui/button.tsx'
import type { System } from '../answers.ts'
import styles from '../console.module.css'
import { type List, type Tick, useConsole, useRead } from '../data.tsx'
import { DataTable } from '../ui/data-table.tsx'
import { Card, Failed, Spark, State, To, User } from '../ui/parts.tsx'
import { PipelineView } from '../ui/pipeline.tsx'
import { Processes, SILENT } from '../ui/processes.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'
import { capped, count, estimate, isAre, plural, seconds } from '../words.ts'

/** Age in seconds above which an unread event is late. */
const LATE = 2

export function Overview() {
  const { ticks, connected, live } = useConsole()
  const read = useRead<System>('system', connected ? 0 : undefined)
  const history = useRead<List<{ at: string; events: number }>>('history', 15_000)
  const tick = ticks.at(-1)
  const system = tick?.system ?? read.data
  const sql = tick?.sql.system ?? read.data?.sql
  if (!system || !sql) return read.error ? <Failed error={read.error} /> : <p className={styles.muted}>Reading …</p>
  const troubles = troublesOf(system)
  const sockets = system.processes.reduce((sum, { figures }) => sum + (figures.sockets ?? 0), 0)
  const last24 = history.data?.items.reduce((sum, { events }) => sum + events, 0)
  return (
    <>
      <header className={styles.head}>
        <h1 className={troubles.length === 0 ? styles.allGood : styles.notGood} data-truth={troubles.length === 0}>
          {sentenceOf(system, troubles)}
        </h1>
        <p className={styles.muted}>
          {system.unreadEvents === 0
            ? 'The log is read to its end'
            : `Oldest unread event ${seconds(system.oldestUnreadSeconds)} old`}
          {' · '}
          {live ? (connected ? 'live, once a second' : 'connecting') : 'paused'}
          {' · read by ravenpost_readonly, '}
          {`${(sql.milliseconds + (tick?.sql.pipeline.milliseconds ?? 0)).toFixed(1)} ms of the database`}
        </p>
        {troubles.length > 0 && (
          <ul className={styles.troubles}>
            {troubles.map(({ text, to }) => (
              <li key={text}>
                <State mood="bad">{to ? <To to={to}>{text}</To> : text}</State>
              </li>
            ))}
          </ul>
        )}
      </header>
      <PipelineView />
      <section className={styles.grid} aria-label="Figures">
        <Card title="Events, 24 h">
          <p className={styles.number}>{last24 === undefined ? '…' : count(last24)}</p>
          <Spark values={history.data?.items.map(({ events }) => events) ?? []} />
        </Card>
        <Card title="Unread events">
          <p className={styles.number}>{capped(system.unreadEvents)}</p>
          <Spark values={ticks.map(({ system }) => system.unreadEvents)} />
        </Card>
        <Card title="Sockets">
          <p className={styles.number}>{count(sockets)}</p>
          <p className={styles.muted}>
            on {plural(system.processes.filter(({ role }) => role === 'push' || role === 'all').length, 'push node')}
          </p>
        </Card>
        <Card title="Notifications">
          <p className={styles.number}>{estimate(system.notificationsEstimate, system.notificationsEstimate > 1000)}</p>
          <p className={styles.muted}>of {estimate(system.usersEstimate, system.usersEstimate > 1000)} users</p>
        </Card>
        <Card title="Dead letters">
          <p className={styles.number}>{capped(system.deadLetters)}</p>
          <p className={styles.muted}>
            {system.lastDeadLetter ? `“${system.lastDeadLetter}”` : 'no event is given up'}
          </p>
        </Card>
      </section>
      <Card title="Processes">
        <Processes processes={system.processes} />
      </Card>
      <div className={demoEnabled ? styles.two : styles.stack}>
        <Card title="Latest events">
          <Latest ticks={ticks} />
        </Card>
        {demoEnabled && <TryIt />}
      </div>
      <SqlDrawer sql={sql} />
      {tick && <SqlDrawer sql={tick.sql.pipeline} />}
      {history.data && <SqlDrawer sql={history.data.sql} />}
    </>
  )
}

type Trouble = { text: string; to?: string }

function troublesOf(system: Tick['system']): Trouble[] {
  const workers = system.processes.filter(
    ({ role, silentSeconds }) => (role === 'worker' || role === 'all') && silentSeconds < SILENT,
  )
  const silent = system.processes.filter(({ silentSeconds }) => silentSeconds >= SILENT)
  const found: (Trouble | false)[] = [
    workers.length === 0 && { text: 'No worker runs: nothing is dispatched', to: 'workers' },
    system.oldestUnreadSeconds >= LATE && {
      text: `${plural(system.unreadEvents, 'event')} not dispatched, the oldest ${seconds(system.oldestUnreadSeconds)} old`,
      to: 'lanes',
    },
    system.failingLanes > 0 && { text: `${plural(system.failingLanes, 'lane')} failing`, to: 'lanes' },
    system.pausedLanes > 0 && { text: `${plural(system.pausedLanes, 'lane')} paused by an operator`, to: 'lanes' },
    system.pendingEvents > 0 && {
      text: `${plural(system.pendingEvents, 'event')} ${isAre(system.pendingEvents)} tried again`,
      to: 'pending',
    },
    system.deadLetters > 0 && {
      text: `${plural(system.deadLetters, 'event')} ${isAre(system.deadLetters)} given up`,
      to: 'dead-letters',
    },
    system.failingWindows + system.overdueWindows > 0 && {
      text: `${plural(Math.max(system.failingWindows, system.overdueWindows), 'window')} not flushed in time`,
      to: 'tables/notify.windows',
    },
    system.overdueDeliveries > 0 && {
      text: `${plural(system.overdueDeliveries, 'mail or push', 'mails and pushes')} overdue`,
      to: 'deliveries',
    },
    system.overdueFanOuts > 0 && {
      text: `${plural(system.overdueFanOuts, 'fan-out')} overdue`,
      to: 'tables/notify.fan_outs',
    },
    system.failingWebhooks > 0 && { text: `${plural(system.failingWebhooks, 'webhook')} failing`, to: 'webhooks' },
    silent.length > 0 && { text: `${plural(silent.length, 'process', 'processes')} silent`, to: 'workers' },
    system.notifyQueueUsage > 0.5 && { text: 'The NOTIFY queue of PostgreSQL is more than half full' },
  ]
  return found.filter((trouble) => trouble !== false)
}

function sentenceOf({ unreadEvents }: Tick['system'], troubles: readonly Trouble[]): string {
  if (troubles.length > 0) return 'Not everything that was committed has been delivered'
  if (unreadEvents > 0) return `${plural(unreadEvents, 'event')} ${isAre(unreadEvents)} on the way`
  return 'Everything that was committed has been delivered'
}

function Latest({ ticks }: { ticks: readonly Tick[] }) {
  const events = ticks
    .slice(-60)
    .flatMap((tick) => tick.events)
    .slice(-12)
    .reverse()
  return (
    <DataTable
      label="Latest events"
      rows={events}
      keyOf={({ stage, id }) => `${stage} ${id}`}
      empty="Nothing happened in the last minute."
      columns={[
        { key: 'at', label: 'At' },
        { key: 'stage', label: 'Stage' },
        { key: 'userId', label: 'User', render: ({ userId }) => <User id={userId} /> },
        {
          key: 'sourceId',
          label: 'What',
          render: ({ type, sourceId, notificationId }) =>
            sourceId ?? type ?? (notificationId ? `notification ${notificationId}` : '–'),
        },
      ]}
    />
  )
}

type Post = { id: string }

/** Sends real requests of the demo's users through the real pipeline. */
export function TryIt() {
  const { api, session } = useDevice()
  const send = useMutation({
    mutationFn: async (what: 'likes' | 'comments' | 'follows' | 'critical' | 'send') => {
      if (what === 'critical' || what === 'send')
        return session.request('POST', '/demo/notify', { userId: session.user.id, kind: what }, newKey())
      const own = await session.request<{ items: Post[] }>('GET', `/posts?scope=user&userId=${session.user.id}&limit=1`)
      const post = own.items[0] ?? (await api.createPost('A post to try the pipeline with', [], newKey()))
      const counts = { likes: 8, comments: 3, follows: 1 }
      return api.simulate(post.id, { [what]: counts[what], from: 'mixed' }, newKey())
    },
  })
  return (
    <Card title="Try it (demo mode)">
      <p className={styles.muted}>
        Real events of real test users, to you. Watch them above, and their rows in <To to="experiment">Experiment</To>.
      </p>
      <div className={styles.buttons}>
        <Button busy={send.isPending} onClick={() => send.mutate('likes')}>
          8 likes
        </Button>
        <Button busy={send.isPending} onClick={() => send.mutate('comments')}>
          3 comments
        </Button>
        <Button busy={send.isPending} onClick={() => send.mutate('follows')}>
          Follower
        </Button>
        <Button busy={send.isPending} onClick={() => send.mutate('send')}>
          Message
        </Button>
        <Button busy={send.isPending} onClick={() => send.mutate('critical')}>
          Critical
        </Button>
      </div>
      <Failed error={send.error} />
    </Card>
  )
}

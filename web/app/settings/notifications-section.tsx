import type { Preferences } from 'ravenpost-client'
import { useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { Segments, Switch } from '../../ui/field.tsx'
import { kindOf } from '../notifications/text.tsx'
import { useWords } from '../words/words.tsx'
import { type Draft, NotRead, SaveBar, useDraft } from './draft.tsx'
import styles from './settings.module.css'
import { WhatIfDialog } from './what-if.tsx'

const channels = ['inApp', 'email', 'webPush'] as const
type Channel = (typeof channels)[number]

export function NotificationsSection() {
  const { settings } = useWords()
  const draft = useDraft()
  const [trying, setTrying] = useState(false)
  const { shown } = draft
  if (!shown) return <NotRead error={draft.error} retry={() => draft.reload().catch(() => undefined)} />
  const strangers = shown.policy?.strangers ?? 'accept'
  return (
    <>
      <section className={styles.card}>
        <div>
          <h2>{settings.matrix}</h2>
          <p className={styles.hint}>{settings.matrixHint}</p>
        </div>
        <Matrix draft={draft} shown={shown} />
      </section>
      <section className={styles.card}>
        <h2>{settings.strangers}</h2>
        <Segments
          label={settings.strangers}
          value={strangers}
          options={(['accept', 'filter', 'drop'] as const).map((value) => ({
            value,
            label: settings.strangersOptions[value],
          }))}
          onChange={(value) => draft.change({ policy: { strangers: value } })}
        />
        <p className={styles.hint}>{settings.strangersHint[strangers]}</p>
      </section>
      <SaveBar draft={draft}>
        <Button onClick={() => setTrying(true)}>{settings.whatIf}</Button>
      </SaveBar>
      {trying && <WhatIfDialog preferences={shown} onClose={() => setTrying(false)} />}
    </>
  )
}

/** Table with a row for each type and a column for each channel. The first row sets the whole channel. */
function Matrix({ draft, shown }: { draft: Draft; shown: Preferences }) {
  const words = useWords()
  const { settings, notifications } = words
  const kinds = Object.keys(draft.effective ?? {})
  const setChannel = (channel: Channel, on: boolean) => draft.change({ channels: { ...shown.channels, [channel]: on } })
  const setKind = (kind: string, channel: Channel, on: boolean | undefined) => {
    const { [channel]: _old, ...others } = shown.types?.[kind] ?? {}
    const ofKind = on === undefined ? others : { ...others, [channel]: on }
    const { [kind]: _gone, ...types } = shown.types ?? {}
    draft.change({ types: Object.keys(ofKind).length > 0 ? { ...types, [kind]: ofKind } : types })
  }
  return (
    <table className={styles.matrix} aria-label={settings.matrix}>
      <thead>
        <tr>
          <th scope="col">{settings.kind}</th>
          {channels.map((channel) => (
            <th key={channel} scope="col">
              {notifications.channels[channel]}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        <tr className={styles.whole}>
          <th scope="row">{settings.whole}</th>
          {channels.map((channel) => (
            <td key={channel}>
              <Switch
                checked={shown.channels?.[channel] ?? true}
                aria-label={`${settings.whole}: ${notifications.channels[channel]}`}
                onChange={({ target }) => setChannel(channel, target.checked)}
              />
            </td>
          ))}
        </tr>
        {kinds.map((kind) => (
          <tr key={kind}>
            <th scope="row">{kindOf(kind, words)}</th>
            {channels.map((channel) => {
              const { on, decidedBy } = outcome(draft, shown, kind, channel)
              return (
                <td key={channel}>
                  <span className={styles.cell}>
                    <Switch
                      checked={on}
                      disabled={decidedBy === 'critical'}
                      aria-label={`${kindOf(kind, words)}: ${notifications.channels[channel]}`}
                      aria-describedby={`${kind}-${channel}`}
                      onChange={({ target }) => setKind(kind, channel, target.checked)}
                    />
                    {decidedBy === 'typePreference' ? (
                      <button
                        type="button"
                        className={styles.link}
                        title={settings.reset}
                        aria-label={`${settings.decidedBy.typePreference}. ${settings.reset}: ${kindOf(kind, words)}, ${notifications.channels[channel]}`}
                        onClick={() => setKind(kind, channel, undefined)}
                      >
                        {settings.decidedBy.typePreference} ↺
                      </button>
                    ) : (
                      <small id={`${kind}-${channel}`}>{settings.decidedBy[decidedBy]}</small>
                    )}
                  </span>
                </td>
              )
            })}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

type Decider = 'typePreference' | 'channelPreference' | 'typeDefault' | 'critical'

/** Effect of the draft, decided in the same order as on the server. */
function outcome(
  draft: Draft,
  shown: Preferences,
  kind: string,
  channel: Channel,
): { on: boolean; decidedBy: Decider } {
  const now = draft.effective?.[kind]?.[channel]
  if (now?.decidedBy === 'critical') return { on: now.enabled, decidedBy: 'critical' }
  const own = shown.types?.[kind]?.[channel]
  if (own !== undefined) return { on: own, decidedBy: 'typePreference' }
  if (shown.channels?.[channel] === false) return { on: false, decidedBy: 'channelPreference' }
  // The server shows the default only where the default decides. Otherwise the channel is off or the type has its own
  // setting.
  return { on: now?.decidedBy === 'typeDefault' ? now.enabled : defaultOf(kind, channel), decidedBy: 'typeDefault' }
}

/**
 * Default of a channel, as installed, for types whose default the server did not send: likes are shown in the app only,
 * follows and posts send no mails.
 */
function defaultOf(kind: string, channel: Channel): boolean {
  if (channel === 'inApp') return true
  if (kind === 'post.liked') return false
  return channel === 'webPush' || !['user.followed', 'post.published'].includes(kind)
}

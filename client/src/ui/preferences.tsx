import { type ReactNode, useId } from 'react'
import type { Preferences as Document } from '../index.ts'
import { usePreferences } from '../react/settings.ts'
import { useUi } from './context.tsx'

const CHANNELS = ['inApp', 'email', 'webPush'] as const

/** Settings for types, channels and notifications from strangers. Saves each change at once. */
export function Preferences(): ReactNode {
  const { part, strings } = useUi()
  const { preferences, effective, status, error, save } = usePreferences()
  const id = useId()
  if (!preferences || !effective) return <p {...part('empty')}>{error ? strings.failed : strings.loading}</p>
  const change = (part: Document) => void save({ ...preferences, ...part }).catch(() => {})
  return (
    <div {...part('preferences')}>
      <table {...part('matrix')}>
        <thead>
          <tr>
            <td />
            {CHANNELS.map((channel) => (
              <th key={channel} scope="col">
                {strings.channels[channel]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">{strings.allTypes}</th>
            {CHANNELS.map((channel) => (
              <td key={channel}>
                <input
                  type="checkbox"
                  aria-label={`${strings.allTypes}, ${strings.channels[channel]}`}
                  checked={preferences.channels?.[channel] ?? true}
                  onChange={({ target: { checked } }) =>
                    change({ channels: { ...preferences.channels, [channel]: checked } })
                  }
                />
              </td>
            ))}
          </tr>
          {Object.entries(effective).map(([type, channels]) => (
            <tr key={type}>
              <th scope="row">{strings.types[type] ?? type}</th>
              {CHANNELS.map((channel) => (
                <td key={channel} title={strings.decidedBy(channels[channel].decidedBy)}>
                  <input
                    type="checkbox"
                    aria-label={`${strings.types[type] ?? type}, ${strings.channels[channel]}`}
                    checked={preferences.types?.[type]?.[channel] ?? channels[channel].enabled}
                    disabled={preferences.channels?.[channel] === false}
                    onChange={({ target: { checked } }) =>
                      change({
                        types: {
                          ...preferences.types,
                          [type]: { ...preferences.types?.[type], [channel]: checked },
                        },
                      })
                    }
                  />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p {...part('field')}>
        <label htmlFor={id}>{strings.strangers}</label>
        <select
          id={id}
          value={preferences.policy?.strangers ?? 'accept'}
          onChange={({ target: { value } }) =>
            change({ policy: { strangers: value as keyof typeof strings.policies } })
          }
        >
          {Object.entries(strings.policies).map(([policy, words]) => (
            <option key={policy} value={policy}>
              {words}
            </option>
          ))}
        </select>
      </p>
      <p role="status" {...part(status === 'error' ? 'error' : 'meta')}>
        {status === 'saving' && strings.saving}
        {status === 'error' && `${strings.notSaved} ${error?.message ?? ''}`}
      </p>
    </div>
  )
}

import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { useDevice } from '../../app/device.tsx'
import { newKey } from '../../app/session.ts'
import { Field, Select, TextArea } from '../../ui/field.tsx'
import type { Broadcast } from '../answers.ts'
import styles from '../console.module.css'
import { rowsOf } from '../data.tsx'
import { Card, Failed, MoreButton, OperatingButton } from '../ui/parts.tsx'
import { useSegments } from './segments.tsx'
import { useTemplates } from './templates.tsx'

type Props = { title: string; draft?: Broadcast; onSaved(saved: Broadcast): void }

/** Writes a draft, or replaces `draft`: from a template or plain text, to a segment or everyone. */
export function DraftForm({ title, draft, onSaved }: Props) {
  const { session } = useDevice()
  const templates = useTemplates()
  const segments = useSegments()
  const [templateId, setTemplateId] = useState(draft?.templateId ?? '')
  const [segmentId, setSegmentId] = useState(segmentOf(draft))
  const save = useMutation({
    mutationFn: async (form: Record<string, string>) => {
      const body = {
        ...keptOf(draft),
        ...whatOf(form, templateId, draft),
        ...audienceOf(segmentId, draft),
        ...whenOf(form),
      }
      return draft
        ? session.request<Broadcast>('PUT', `/admin/broadcasts/${draft.id}`, body)
        : session.request<Broadcast>('POST', '/admin/broadcasts', body, newKey())
    },
    onSuccess: onSaved,
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    save.mutate(Object.fromEntries(new FormData(event.currentTarget)) as Record<string, string>)
  }
  return (
    <Card title={title}>
      <form className={styles.stack} onSubmit={submit}>
        <Field label="Name" name="name" required maxLength={200} defaultValue={draft?.name} />
        <div className={styles.find}>
          <Select
            label="Template"
            value={templateId}
            onChange={({ currentTarget }) => setTemplateId(currentTarget.value)}
          >
            <option value="">None: plain text</option>
            {rowsOf(templates.pages)?.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </Select>
          <Select label="To" value={segmentId} onChange={({ currentTarget }) => setSegmentId(currentTarget.value)}>
            <option value="">Everyone</option>
            {ruleOf(draft) !== undefined && <option value={OWN_RULE}>The rule of this draft</option>}
            {rowsOf(segments.pages)?.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </Select>
          <Field
            label="At (empty: when sent)"
            name="sendAt"
            type="datetime-local"
            step={1}
            defaultValue={draft && inputOf(draft)}
          />
          <label className={styles.check}>
            <input type="checkbox" name="recipient" defaultChecked={draft?.timeZone === 'recipient'} /> in each
            recipient's time zone
          </label>
          <Field
            label="Per second, at most"
            name="perSecond"
            type="number"
            min={1}
            defaultValue={draft?.perSecond ?? undefined}
          />
        </div>
        {templates.more.wanted && <MoreButton more={templates.more} label="More templates" />}
        {segments.more.wanted && <MoreButton more={segments.more} label="More segments" />}
        {templateId ? (
          <TextArea
            label="Variables, as JSON"
            name="variables"
            rows={3}
            defaultValue="{}"
            {...(draft && { hint: 'A draft holds the finished texts: enter the variables again.' })}
          />
        ) : (
          <>
            <Field label="Title" name="title" required maxLength={200} defaultValue={draft?.content.title} />
            <TextArea label="Body" name="body" rows={3} maxLength={2000} defaultValue={draft?.content.body ?? ''} />
            <Field label="Link" name="url" maxLength={2000} defaultValue={draft?.content.url ?? ''} />
          </>
        )}
        <Failed error={save.error} />
        <div>
          <OperatingButton needs="admin" kind="primary" type="submit" busy={save.isPending}>
            {draft ? 'Save draft' : 'Write draft'}
          </OperatingButton>
        </div>
      </form>
    </Card>
  )
}

const OWN_RULE = 'rule'
const ruleOf = (draft: Broadcast | undefined) => draft?.audience.rule

function segmentOf(draft: Broadcast | undefined): string {
  return draft?.segmentId ?? (ruleOf(draft) === undefined ? '' : OWN_RULE)
}

/** What a draft has that the form does not show. A replaced draft loses what the request leaves out. */
function keptOf(draft: Broadcast | undefined) {
  const { priority = null, channels = null, expiresIn = null } = draft ?? {}
  return withoutNulls({ priority, channels, expiresIn })
}

function whatOf(form: Record<string, string>, templateId: string, draft: Broadcast | undefined) {
  if (templateId) return { templateId, variables: JSON.parse(form.variables || '{}') }
  const kept = draft && !draft.templateId ? withoutNulls(draft.content) : {}
  return { content: { ...kept, title: form.title, body: form.body || null, url: form.url || null } }
}

function audienceOf(segmentId: string, draft: Broadcast | undefined) {
  if (segmentId === OWN_RULE) return { rule: ruleOf(draft) }
  return segmentId ? { segmentId } : { everyone: true }
}

function whenOf({ name, sendAt, recipient, perSecond }: Record<string, string>) {
  // Browsers leave out seconds that are zero.
  const wall = sendAt?.length === 16 ? `${sendAt}:00` : sendAt
  return {
    name,
    ...(wall && (recipient ? { sendAt: wall, timeZone: 'recipient' } : { sendAt: new Date(wall).toISOString() })),
    ...(perSecond && { perSecond: Number(perSecond) }),
  }
}

/** The time of a draft as the field has it: of each recipient, or by the clock of this browser. */
function inputOf({ sendAt, timeZone }: Broadcast): string {
  if (sendAt === null || timeZone === 'recipient') return sendAt ?? ''
  const at = new Date(sendAt)
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}

function withoutNulls<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null)) as Partial<T>
}

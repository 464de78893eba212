import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { useDevice } from '../../app/device.tsx'
import { messageAt } from '../../app/problem.ts'
import { newKey } from '../../app/session.ts'
import { Field, TextArea } from '../../ui/field.tsx'
import type { Preview, Sql, Template, TemplateText } from '../answers.ts'
import styles from '../console.module.css'
import { type Pages, parseJson, rowsOf, usePages, useRead } from '../data.tsx'
import { At, DataTable } from '../ui/data-table.tsx'
import { Card, Failed, MoreButton, OperatingButton, Screen, State, To } from '../ui/parts.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'

export const useTemplates = () => usePages<Pages<Template>>('templates?limit=100', 0)

export function Templates() {
  const { pages, sql, error, more } = useTemplates()
  return (
    <Screen
      title="Templates"
      lead="Texts of broadcasts: ICU messages over typed variables, with translations. Each change keeps the version before."
    >
      <Failed error={error} />
      {pages && (
        <DataTable
          label="Templates"
          rows={rowsOf(pages)}
          keyOf={({ id }) => id}
          empty="There is no template yet."
          columns={[
            { key: 'name', label: 'Name', render: ({ id, name }) => <To to={`templates/${id}`}>{name}</To> },
            { key: 'version', label: 'Version', numeric: true },
            { key: 'type', label: 'Type' },
            { key: 'title', label: 'Title' },
            {
              key: 'variables',
              label: 'Variables',
              render: ({ variables }) => Object.keys(variables).join(', ') || '–',
            },
            {
              key: 'translations',
              label: 'Languages',
              render: ({ translations }) => ['default', ...Object.keys(translations)].join(', '),
            },
            { key: 'updatedAt', label: 'Changed', render: ({ updatedAt }) => <At at={updatedAt} /> },
          ]}
        />
      )}
      <MoreButton more={more} />
      <To to="templates/new">New template</To>
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

const NEW = {
  name: '',
  type: 'system',
  title: 'Hello {name}',
  body: '',
  url: '',
  variables: '{"name": {"type": "string", "required": true}}',
  translations: '{}',
}
type Draft = typeof NEW

/** Edits a template; the preview follows what is typed. */
export function TemplateScreen({ id }: { id: string }) {
  const { data, error } = useRead<Template & { sql: Sql }>(id === 'new' ? undefined : `templates/${id}`, 0)
  if (id !== 'new' && !data) return <Failed error={error} />
  const draft: Draft = data
    ? {
        name: data.name,
        type: data.type,
        title: data.title,
        body: data.body ?? '',
        url: data.url ?? '',
        variables: JSON.stringify(data.variables, null, 2),
        translations: JSON.stringify(data.translations, null, 2),
      }
    : NEW
  return (
    <Screen
      title={data ? `${data.name}, version ${data.version}` : 'New template'}
      lead={<To to="templates">All templates</To>}
    >
      <EditorAndPreview key={data?.version ?? 0} id={id} saved={draft} />
      {data && <SqlDrawer sql={data.sql} />}
    </Screen>
  )
}

function EditorAndPreview({ id, saved }: { id: string; saved: Draft }) {
  const [draft, setDraft] = useState(saved)
  return (
    <div className={styles.two}>
      <Editor id={id} draft={saved} onDraft={setDraft} />
      <PreviewCard draft={draft} />
    </div>
  )
}

function Editor({ id, draft, onDraft }: { id: string; draft: Draft; onDraft(draft: Draft): void }) {
  const { session } = useDevice()
  const queries = useQueryClient()
  const [created, setCreated] = useState<string>()
  const save = useMutation({
    mutationFn: (form: Draft) => {
      const body = { name: form.name, ...textOf(form) }
      return id === 'new'
        ? session.request<Template>('POST', '/admin/templates', body, newKey())
        : session.request<Template>('PATCH', `/admin/templates/${id}`, body)
    },
    onSuccess: (template) => {
      if (id === 'new') setCreated(template.id)
      return queries.invalidateQueries({ queryKey: ['console'] })
    },
  })
  const draftOf = (form: HTMLFormElement) => Object.fromEntries(new FormData(form)) as Draft
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    save.mutate(draftOf(event.currentTarget))
  }
  const fault = (name: string) => messageAt(save.error, name)
  return (
    <Card title="Text">
      <form
        className={styles.stack}
        onSubmit={submit}
        onChange={({ currentTarget }) => onDraft(draftOf(currentTarget))}
      >
        <Field label="Name" name="name" defaultValue={draft.name} required maxLength={100} error={fault('name')} />
        <Field label="Type" name="type" defaultValue={draft.type} required maxLength={100} error={fault('type')} />
        <Field label="Title" name="title" defaultValue={draft.title} required maxLength={1000} error={fault('title')} />
        <TextArea label="Body" name="body" defaultValue={draft.body} rows={3} maxLength={4000} error={fault('body')} />
        <Field label="Link" name="url" defaultValue={draft.url} maxLength={2000} error={fault('url')} />
        <TextArea
          label="Variables, as JSON"
          name="variables"
          defaultValue={draft.variables}
          rows={4}
          error={fault('variables')}
        />
        <TextArea
          label="Translations, as JSON"
          name="translations"
          defaultValue={draft.translations}
          rows={4}
          error={fault('translations')}
        />
        <Failed error={save.error} />
        <OperatingButton needs="admin" kind="primary" type="submit" busy={save.isPending}>
          Save
        </OperatingButton>
        {created && (
          <p role="status">
            Saved: <To to={`templates/${created}`}>open it</To>
          </p>
        )}
        {save.isSuccess && !created && <p role="status">Saved.</p>}
      </form>
    </Card>
  )
}

/** @throws {Problem} where a text is not JSON */
function textOf({ type, title, body, url, variables, translations }: Draft): TemplateText {
  return {
    type,
    title,
    body: body || null,
    url: url || null,
    variables: parseJson('Variables', variables) as Template['variables'],
    translations: parseJson('Translations', translations) as Template['translations'],
  }
}

type Asked = { values: Record<string, string>; userId: string; locale: string; draft: Draft }

/** Milliseconds without a keystroke after which the preview is asked for, so that typing stays within the limit of requests. */
const PAUSE_MS = 400

/** The text once it has not changed for a moment. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text)
  useEffect(() => {
    const timer = setTimeout(setSettled, PAUSE_MS, text)
    return () => clearTimeout(timer)
  }, [text])
  return settled
}

/** A preview for every channel, as a user would see it; it follows what is typed. */
function PreviewCard({ draft }: { draft: Draft }) {
  const { session } = useDevice()
  const [values, setValues] = useState<Record<string, string>>({})
  const [userId, setUserId] = useState('')
  const [locale, setLocale] = useState('')
  const variables = useVariables(draft)
  const asked = useSettled(JSON.stringify({ values, userId, locale, draft }))
  const { data, error } = useQuery({
    queryKey: ['console', 'preview', asked],
    queryFn: () => {
      const { values, userId, locale, draft } = JSON.parse(asked) as Asked
      const template = textOf(draft)
      return session.request<Preview>('POST', '/admin/templates/preview', {
        template,
        variables: valuesOf(template, values),
        ...(userId && { userId }),
        ...(locale && { locale }),
      })
    },
    placeholderData: (before) => before,
    retry: false,
  })
  return (
    <Card title="Preview">
      <div className={styles.find}>
        {Object.entries(variables).map(([name, { type }]) => (
          <Field
            key={name}
            label={`${name} (${type})`}
            value={values[name] ?? ''}
            onChange={({ currentTarget }) => setValues({ ...values, [name]: currentTarget.value })}
          />
        ))}
        <Field
          label="As user (id)"
          value={userId}
          inputMode="numeric"
          onChange={({ currentTarget }) => setUserId(currentTarget.value.trim())}
        />
        <Field
          label="Language"
          value={locale}
          onChange={({ currentTarget }) => setLocale(currentTarget.value.trim())}
        />
      </div>
      <Failed error={error} />
      {data && (
        <>
          <h3>In the app</h3>
          <p>
            <strong>{data.inApp.title}</strong>
            <br />
            {data.inApp.body}
          </p>
          <h3>Push</h3>
          <p>
            <strong>{data.push.title}</strong>
            <br />
            {data.push.body}
          </p>
          <h3>Email: {data.email.subject}</h3>
          <pre className={styles.mail}>{data.email.text}</pre>
          <ul>
            {data.decisions.map(({ channel, decision, reason, reachable }) => (
              <li key={channel}>
                <State mood={decision === 'allow' && reachable ? 'good' : 'waiting'}>
                  {channel}: {decision}, {reason}
                  {!reachable && ', but not reachable'}
                </State>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  )
}

/** The declared variables; while their JSON is not finished, the former ones. */
function useVariables({ variables }: Draft): NonNullable<TemplateText['variables']> {
  const last = useRef<NonNullable<TemplateText['variables']>>({})
  try {
    last.current = parseJson('Variables', variables) as typeof last.current
  } catch {
    // Still being typed.
  }
  return last.current
}

/** Uses an example value for an empty field. */
function valuesOf({ variables = {} }: TemplateText, values: Record<string, string>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, { type }]) => {
      const text = values[name] ?? ''
      if (type === 'number') return [name, Number(text || 2)]
      if (type === 'boolean') return [name, text !== 'false']
      if (/date/.test(type)) return [name, text || new Date(0).toISOString()]
      return [name, text || name]
    }),
  )
}

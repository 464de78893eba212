import type pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import type { Messages } from './message.ts'

/** A template with its current version. */
export type Template = Messages & {
  id: string
  name: string
  version: number
  type: string
  createdAt: Date
  updatedAt: Date
}
export type TemplateContent = Pick<Template, 'name' | 'type'> & Messages

const columns = `t.id, t.name, v.version, v.type, v.title, v.body, v.url, v.variables, v.translations, t.created_at as "createdAt",
  t.updated_at as "updatedAt"`
const current = `notify.templates t join notify.template_versions v on v.template_id = t.id and v.version = t.version`

/**
 * Finds a template. Undefined when it does not exist or is deleted. `lock`: locks the row until the transaction ends.
 */
export async function findTemplate(db: Queryable, id: string, { lock = false } = {}): Promise<Template | undefined> {
  const { rows } = await db.query<Template>(
    `select ${columns} from ${current} where t.id = $1 and t.deleted_at is null ${lock ? 'for update of t' : ''}`,
    [id],
  )
  return rows[0]
}

/** Creates a template. Undefined when another template has the name. */
export async function createTemplate(trx: pg.ClientBase, content: TemplateContent): Promise<Template | undefined> {
  const { rows } = await trx.query<{ id: string }>(
    `insert into notify.templates (name) values ($1) on conflict (name) where deleted_at is null do nothing returning id`,
    [content.name],
  )
  if (!rows[0]) return undefined
  await addVersion(trx, rows[0].id, 1, content)
  return findTemplate(trx, rows[0].id)
}

/** Adds a version to a template that the caller has locked. False when another template has the name. */
export async function updateTemplate(
  trx: pg.ClientBase,
  { id, version }: Pick<Template, 'id' | 'version'>,
  content: TemplateContent,
): Promise<boolean> {
  const { rowCount } = await trx.query(
    `update notify.templates t set name = $2, version = $3, updated_at = now()
     where t.id = $1 and not exists (select from notify.templates o where o.name = $2 and o.deleted_at is null and o.id <> t.id)`,
    [id, content.name, version + 1],
  )
  if (rowCount === 0) return false
  await addVersion(trx, id, version + 1, content)
  return true
}

async function addVersion(trx: pg.ClientBase, id: string, version: number, content: TemplateContent): Promise<void> {
  const { type, title, body, url, variables, translations } = content
  await trx.query(
    `insert into notify.template_versions (template_id, version, type, title, body, url, variables, translations)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [id, version, type, title, body, url, JSON.stringify(variables), JSON.stringify(translations)],
  )
}

export async function deleteTemplate(trx: pg.ClientBase, id: string): Promise<void> {
  await trx.query('update notify.templates set deleted_at = now() where id = $1', [id])
}

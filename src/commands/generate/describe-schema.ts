import type pg from 'pg'

type Column = { name: string; type: string; required: boolean; fallback: string | null; comment: string | null }
type Item = { name: string; definition: string; comment: string | null }
type Relation = { schema: string; name: string; kind: string; comment: string | null; columns: Column[] } & {
  indexes: Item[]
  constraints: Item[]
}
type Routine = { schema: string; signature: string; returns: string; comment: string | null }

/** Creates docs/schema.md from the comments in the database. Omits partitions that our functions create. */
export async function describeSchema(client: pg.Client): Promise<string> {
  const schemas = await client.query<{ name: string; comment: string | null }>(
    `select nspname as name, obj_description(oid, 'pg_namespace') as comment
     from pg_namespace where nspname = any ($1) order by array_position($1, nspname::text)`,
    [['social', 'notify', 'ops']],
  )
  const relations = await client.query<Relation>(relationsQuery)
  const routines = await client.query<Routine>(routinesQuery)
  const sections = schemas.rows.flatMap(({ name, comment }) => [
    `## Schema \`${name}\``,
    ...(comment ? [comment] : []),
    ...relations.rows.filter(({ schema }) => schema === name).map(describeRelation),
    ...describeRoutines(routines.rows.filter(({ schema }) => schema === name)),
  ])
  return `${[...opening, ...sections].join('\n\n')}\n`
}

const opening = [
  '# The database',
  'Made by `npm run schema-doc` from the comments in the database; change those, in `migrations/`, not this file.',
]

/** The migrator's own tables have no comments. */
const relationsQuery = `
  select n.nspname as schema, c.relname as name, obj_description(c.oid, 'pg_class') as comment,
    case c.relkind when 'v' then 'View' when 'm' then 'Materialized view' when 'p' then 'Partitioned table' else 'Table' end as kind,
    (select json_agg(json_build_object(
        'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'required', a.attnotnull,
        'fallback', pg_get_expr(d.adbin, d.adrelid), 'comment', col_description(c.oid, a.attnum)) order by a.attnum)
      from pg_attribute a left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
    coalesce((select json_agg(json_build_object(
        'name', i.relname, 'definition', pg_get_indexdef(i.oid), 'comment', obj_description(i.oid, 'pg_class')) order by i.relname)
      from pg_index x join pg_class i on i.oid = x.indexrelid where x.indrelid = c.oid), '[]') as indexes,
    coalesce((select json_agg(json_build_object(
        'name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'comment', obj_description(k.oid, 'pg_constraint')) order by k.conname)
      from pg_constraint k where k.conrelid = c.oid and k.contype in ('c', 'f')), '[]') as constraints
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('social', 'notify', 'ops') and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
    and c.relname not in ('migrations', 'migrations_lock')
  order by n.nspname, c.relkind in ('v', 'm'), c.relname`

const routinesQuery = `
  select n.nspname as schema, p.proname || '(' || pg_get_function_arguments(p.oid) || ')' as signature,
    coalesce(pg_get_function_result(p.oid), 'procedure') as returns, obj_description(p.oid, 'pg_proc') as comment
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname in ('social', 'notify', 'ops') order by 1, 2`

function describeRelation({ schema, name, kind, comment, columns, indexes, constraints }: Relation): string {
  const parts = [`### ${kind} \`${schema}.${name}\``, comment ?? '', columnsTable(columns, kind)]
  if (constraints.length > 0) parts.push(list('Constraints', constraints))
  if (indexes.length > 0) parts.push(list('Indexes', indexes))
  return parts.filter((part) => part !== '').join('\n\n')
}

function columnsTable(columns: Column[], kind: string): string {
  const isView = kind.endsWith('iew')
  const rows = columns.map(({ name, type, required, fallback, comment }) => {
    const details = [type, required || isView ? '' : 'null', fallback ? `default ${fallback}` : '']
      .filter(Boolean)
      .join(', ')
    return `| \`${name}\` | ${cell(details)} | ${cell(comment ?? '')} |`
  })
  return ['| column | type | meaning |', '|---|---|---|', ...rows].join('\n')
}

function list(title: string, items: Item[]): string {
  const lines = items.map(
    ({ name, definition, comment }) =>
      `- \`${name}\`: ${comment ? `${oneLine(comment)} ` : ''}\`${oneLine(shortened(definition))}\``,
  )
  return [`${title}:`, ...lines].join('\n')
}

function describeRoutines(routines: Routine[]): string[] {
  return routines.map(({ schema, signature, returns, comment }) =>
    [
      `### Function \`${schema}.${oneLine(signature)}\``,
      `Returns \`${oneLine(returns)}\`. ${oneLine(comment ?? '')}`.trim(),
    ].join('\n\n'),
  )
}

/** The names of the table and the index are shown elsewhere. */
const shortened = (definition: string) => definition.replace(/^CREATE (UNIQUE )?INDEX \S+ ON (ONLY )?\S+ USING /, '$1')
const oneLine = (text: string) => text.replace(/\s+/g, ' ').trim()
const cell = (text: string) => oneLine(text).replaceAll('|', '\\|')

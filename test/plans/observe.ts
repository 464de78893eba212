import type pg from 'pg'
import { pino } from 'pino'
import { createPool } from '../../src/db/pool.ts'

/** A node of an executed plan, as auto_explain reports it. Rows are averages per loop. */
type Node = {
  'Node Type': string
  'Relation Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Join Filter'?: number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Node[]
}

export type Executed = {
  text: string
  /** Pages looked at. */
  pages: number
  /** Rows that passed through the nodes of the plan, those thrown away among them. */
  rows: number
  /** Tables that were read whole. */
  seqScans: string[]
}

/** The planner knows the size of a batch in a custom plan only; in the generic plan of a prepared statement it guesses. */
export type PlanMode = 'force_custom_plan' | 'force_generic_plan'

/** A pool like the product's whose statements are noted as they are executed (PostgreSQL manual, "auto_explain"). */
export function observedPool(url: string, mode: PlanMode): { pool: pg.Pool; executed: Executed[] } {
  const executed: Executed[] = []
  const settings = Object.entries({
    session_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': 0,
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_buffers': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_format': 'json',
    'auto_explain.log_level': 'notice',
    plan_cache_mode: mode,
  })
  const pool = createPool({
    url,
    size: 2,
    log: pino({ level: 'silent' }),
    name: 'observed',
    settings: settings.map(([name, value]) => `-c ${name}=${value}`).join(' '),
  })
  pool.on('connect', (client) => {
    client.on('notice', ({ message = '' }) => {
      if (message.includes('plan:\n')) executed.push(parse(message.slice(message.indexOf('{'))))
    })
  })
  return { pool, executed }
}

function parse(explanation: string): Executed {
  const { 'Query Text': text, Plan: plan }: { 'Query Text': string; Plan: Node } = JSON.parse(explanation)
  const nodes = flatten(plan)
  return {
    text,
    pages: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'],
    rows: nodes.reduce((sum, node) => sum + handled(node), 0),
    seqScans: nodes.filter((node) => node['Node Type'] === 'Seq Scan').map((node) => String(node['Relation Name'])),
  }
}

function flatten(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)]
}

function handled(node: Node): number {
  const { 'Rows Removed by Filter': filtered = 0, 'Rows Removed by Join Filter': unjoined = 0 } = node
  return (node['Actual Rows'] + filtered + unjoined) * node['Actual Loops']
}

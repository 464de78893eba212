import type pg from 'pg'
import t from 'tap'
import { followStatement, unfollowStatement } from '../../src/follows/batch.ts'
import { likeStatement, unlikeStatement } from '../../src/likes/batch.ts'
import { setup } from '../setup.ts'

const ROWS = 1000

/** The planner knows the size of a batch in a custom plan only; in the generic plan of a prepared statement it guesses. */
const planModes = ['force_custom_plan', 'force_generic_plan'] as const

t.test('no batch statement loops over a whole table or over the batch itself', async (t) => {
  const { pool } = await setup(t)
  await fill(pool)
  const ids = (idOf: (i: number) => number) => Array.from({ length: ROWS }, (_, i) => idOf(i))
  const cases: [name: string, statement: string, left: number[], right: number[]][] = [
    ['like', likeStatement, ids((i) => 1 + i * 97), ids((i) => 100 + i)],
    ['like of one post', likeStatement, ids(() => 5), ids((i) => 10_000 + i)],
    ['unlike', unlikeStatement, ids((i) => 1 + i * 97), ids(() => 1)],
    ['follow', followStatement, ids((i) => 1 + i), ids((i) => 10_000 + i)],
    ['unfollow', unfollowStatement, ids((i) => 1 + i), ids((i) => 2 + i)],
  ]
  for (const mode of planModes) {
    for (const [name, statement, left, right] of cases) {
      const plan = await explain(pool, mode, statement, [left, right])
      t.equal(eventsIn(plan), ROWS, `${mode}: ${name} changes ${ROWS} rows`)
      t.same(loops(plan), [], `${mode}: ${name} scans nothing more than once`)
    }
  }
})

/** 100,000 posts with a like each, 20,000 users who follow five others each. */
async function fill(pool: pg.Pool): Promise<void> {
  await pool.query(`
    insert into social.users (username, email, password_hash, display_name)
    select 'user_' || i, 'user_' || i || '@example.org', '!', 'User' from generate_series(1, 20000) i;
    insert into social.posts (author_id, body) select 1 + i % 20000, 'Post' from generate_series(1, 100000) i;
    insert into social.likes (post_id, user_id) select i, 1 from generate_series(1, 100000) i;
    insert into social.follows (follower_id, followee_id)
    select i, 1 + (i + step - 1) % 20000 from generate_series(1, 20000) i, generate_series(1, 5) step;
    analyze social.users, social.posts, social.likes, social.follows`)
}

type Node = {
  'Node Type': string
  'Actual Loops': number
  'Actual Rows': number
  'Relation Name'?: string
  Plans?: Node[]
}

async function explain(pool: pg.Pool, mode: string, statement: string, [left, right]: number[][]): Promise<Node[]> {
  const client = await pool.connect()
  try {
    await client.query(`begin; set local plan_cache_mode = ${mode}; prepare batch as ${statement}`)
    const array = (values: number[] = []) => `'{${values.join(',')}}'`
    const { rows } = await client.query(
      `explain (analyze, format json) execute batch (${array(left)}, ${array(right)}, ${array(left)})`,
    )
    await client.query('rollback; deallocate batch')
    return flatten(rows[0]['QUERY PLAN'][0].Plan)
  } finally {
    client.release()
  }
}

function flatten(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)]
}

/** Index lookups may loop; whatever reads all of something may not. */
function loops(plan: Node[]): string[] {
  return plan
    .filter((node) => /Seq Scan|CTE Scan|Function Scan|Materialize/.test(node['Node Type']) && node['Actual Loops'] > 2)
    .map((node) => `${node['Node Type']} × ${node['Actual Loops']}`)
}

function eventsIn(plan: Node[]): number {
  const insert = plan.find((node) => node['Node Type'] === 'ModifyTable' && node['Relation Name'] === 'outbox')
  return insert?.Plans?.[0]?.['Actual Rows'] ?? 0
}

import type pg from 'pg'
import t from 'tap'
import { listPosts } from '../../../src/social/posts/read.ts'
import { setup } from '../../setup.ts'

const FOLLOWED = 400

/** Who follows many is answered from the newest posts of all, unless too few of those are of the followed. */
const readers = {
  'some hundred': { followed: FOLLOWED, newerByOthers: 0 },
  'many who write': { followed: 700, newerByOthers: 0 },
  'many who have not written for long': { followed: 700, newerByOthers: 2500 },
}
t.test('the feed of followed users lists all their posts, newest first', async (t) => {
  for (const [name, { followed, newerByOthers }] of Object.entries(readers))
    t.test(`following ${name}`, async (t) => {
      const { as, pool } = await setup(t)
      const ana = await as('ana')
      await fill(pool, ana.id, followed)
      await pool.query(
        `insert into social.posts (author_id, body) select $1, 'Hello' from generate_series(1, $2::int)`,
        [ana.id, newerByOthers],
      )
      const { rows } = await pool.query<{ id: string }>(
        `select p.id from social.posts p join social.follows f on f.followee_id = p.author_id
         where f.follower_id = $1 and p.deleted_at is null order by p.id desc limit 60`,
        [ana.id],
      )
      const found: string[] = []
      let cursor = ''
      for (let page = 0; page < 3; page += 1) {
        const { items, nextCursor } = await ana.get(`/posts?scope=following${cursor}`)
        found.push(...items.map(({ id }: { id: string }) => id))
        cursor = `&cursor=${nextCursor}`
        await pool.query(
          `insert into social.posts (author_id, body) select followee_id, 'new' from social.follows limit 5`,
        )
      }
      t.same(
        found,
        rows.map(({ id }) => id),
        'the same as when the first page was read',
      )
    })
})

t.test('a feed page for a user who follows many does not search the index once per followed user', async (t) => {
  const { as, pool } = await setup(t)
  const ana = await as('ana')
  await fill(pool, ana.id, 1000)
  await pool.query('vacuum analyze social.posts')
  const { pages } = await explained(pool, (explaining) =>
    listPosts(explaining, ana.id, { scope: 'following', userId: undefined, before: null, limit: 21 }),
  )
  t.ok(pages < 500, `${pages} pages`)
})

t.test(
  'a feed page searches the index once per followed user up to some hundred, for any number of posts',
  async (t) => {
    const { as, pool } = await setup(t)
    const ana = await as('ana')
    await fill(pool, ana.id)
    await pool.query('vacuum analyze social.posts')
    const [followed] = (await pool.query('select followee_id as id from social.follows limit 1')).rows
    for (const [scope, userId, most] of [
      ['all', undefined, 400],
      ['user', followed.id, 400],
      ['following', undefined, 400 + 5 * FOLLOWED],
    ] as const) {
      const { plan, pages } = await explained(pool, (explaining) =>
        listPosts(explaining, ana.id, { scope, userId, before: null, limit: 21 }),
      )
      t.notMatch(plan, /Seq Scan on posts/, scope)
      t.ok(pages < most, `${scope}: ${pages} pages`)
    }
  },
)

/** Inserts 1,000 authors with 20 posts each, some deleted. The user follows some hundred of them. */
async function fill(pool: pg.Pool, followerId: string, followed = FOLLOWED): Promise<void> {
  await pool.query(
    `insert into social.users (username, email, password_hash, display_name)
     select 'author_' || n, n || '@example.org', '!', 'Author' from generate_series(1, 1000) n`,
  )
  await pool.query(
    `insert into social.posts (author_id, body, deleted_at)
     select u.id, 'Hello', case when n % 7 = 0 then now() end
     from generate_series(1, 20) n, social.users u where u.username like 'author%' order by n * u.id % 1009, n`,
  )
  await pool.query(
    `insert into social.follows (follower_id, followee_id)
     select $1, id from social.users where username like 'author%' order by id limit $2`,
    [followerId, followed],
  )
  await pool.query('analyze')
}

/** The plan of the one statement that `work` runs, and how many pages it touched. */
async function explained(pool: pg.Pool, work: (pool: pg.Pool) => Promise<unknown>) {
  let plan = ''
  const query = async ({ text, values }: { text: string; values: unknown[] }) => {
    const { rows } = await pool.query(`explain (analyze, buffers, timing off) ${text}`, values)
    plan = rows.map((row) => row['QUERY PLAN']).join('\n')
    return pool.query(text, values)
  }
  const explaining: pg.Pool = Object.assign(Object.create(pool), { query })
  await work(explaining)
  const [, hit = 0, read = 0] = /Buffers: shared hit=(\d+)(?: read=(\d+))?/.exec(plan) ?? []
  return { plan, pages: Number(hit) + Number(read) }
}

t.test('posts are found by their words, newest first, in pages', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben, cem] = [await as('ana'), await as('ben'), await as('cem')]
  const texts = [
    'Hello world',
    'The WORLD is round',
    'A worldly thing',
    'Привет, мир',
    '你好 世界',
    "It's 3.14 @ana",
    'gone world',
  ]
  const ids: string[] = []
  for (const text of texts) ids.push((await ana.post(text)).id)
  await ana.request('DELETE', `/posts/${ids[6]}`)
  const bens = (await ben.post('Hello, hello world')).id
  const found = async (q: string, who = cem) => {
    const { items } = await who.get(`/posts/search?q=${encodeURIComponent(q)}`)
    return items.map(({ id }: { id: string }) => ([...ids, bens] as string[]).indexOf(id))
  }
  t.same(await found('world'), [7, 2, 1, 0], 'whole words and, of the last one, beginnings')
  t.same(await found('WORLD hello'), [7, 0], 'all of them, in any order')
  t.same(await found('wor hello'), [], 'beginnings of the last one only')
  for (const [q, expected] of [
    ['мир', [3]],
    ['世界', [4]],
    ['3.14', [5]],
    ['@ana', [5]],
    ['round is', [1]],
    ['nothing', []],
    ['!?', []],
    [`') or 1=1 -- & | :* <->`, []],
    ["' \\ '", []],
  ] as const)
    t.same(await found(q), expected, q)
  t.match((await cem.get('/posts/search?q=round')).items, [{ author: { username: 'ana' }, viewer: { liked: false } }])
  const first = await cem.get('/posts/search?q=world&limit=3')
  const second = await cem.get(`/posts/search?q=world&limit=3&cursor=${first.nextCursor}`)
  t.same([first.items.length, second.items.length, second.nextCursor], [3, 1, null])
  await ben.request('PUT', `/users/${cem.id}/block`)
  t.same(await found('world'), [2, 1, 0], 'without whom a block hides')
  for (const query of ['', 'q=', 'q=%20', `q=${'x'.repeat(101)}`, 'q=x&page=2', 'q=a%00b'])
    t.match(
      await cem.request('GET', `/posts/search?${query}`),
      { status: 400, body: { code: 'VALIDATION_FAILED' } },
      query,
    )

  // More posts than the first scan covers: it fills a page with frequent words, and the index finds rare ones.
  await pool.query(
    `insert into social.posts (author_id, body) select $1, case when i % 300 = 0 then 'seldom ' else '' end || 'frequent ' || i from generate_series(1, 3000) i`,
    [ana.id],
  )
  const all = async (q: string) => {
    const bodies: string[] = []
    let cursor = ''
    do {
      const page = await cem.get(`/posts/search?limit=100&q=${q}${cursor && `&cursor=${cursor}`}`)
      bodies.push(...page.items.map(({ body }: { body: string }) => body))
      cursor = page.nextCursor
    } while (cursor)
    return bodies
  }
  t.same(
    await all('seldom'),
    Array.from({ length: 10 }, (_, i) => `seldom frequent ${3000 - i * 300}`),
  )
  t.equal(new Set(await all('frequent')).size, 3000)
  t.same(await found('world'), [2, 1, 0])
})

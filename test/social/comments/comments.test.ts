import t from 'tap'
import { readEvents } from '../../notify/outbox/read-events.ts'
import { setup } from '../../setup.ts'

t.test('the answer to a new comment equals its entry in the list', async (t) => {
  const { as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  const comment = await ben.comment(post.id, 'Nice')
  t.match(comment, {
    postId: post.id,
    parentId: null,
    author: { id: ben.id, username: 'ben' },
    body: 'Nice',
    replyCount: 0,
    createdAt: /Z$/,
    updatedAt: /Z$/,
  })
  const reply = await ana.comment(post.id, 'Thanks', comment.id)
  t.match(reply, { parentId: comment.id })
  t.same((await ana.get(`/posts/${post.id}/comments`)).items, [comment], 'the first level only')
  t.same((await ana.get(`/posts/${post.id}/comments?parentId=${comment.id}`)).items, [reply])
})

t.test('a comment notifies each person for the most specific reason and counts once', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben, carl, dora] = [await as('ana'), await as('ben'), await as('carl'), await as('dora')]
  const post = await ana.post('Hello')
  const parent = await ben.comment(post.id, 'First')
  const comment = await dora.comment(post.id, '@carl @ben @dora look', parent.id)
  const events = (await readEvents(pool, 'comment')).filter((event) => event.sourceId === `comment:${comment.id}`)
  const shared = {
    actorId: dora.id,
    retracts: false,
    threadKey: `post:${post.id}`,
    data: { postId: post.id, commentId: comment.id, parentId: parent.id },
  }
  t.match(events, [
    {
      ...shared,
      counted: true,
      recipientId: ben.id,
      type: 'comment.replied',
      objectType: 'comment',
      objectId: parent.id,
      groupKey: `comment.replied:${parent.id}`,
    },
    {
      ...shared,
      counted: false,
      recipientId: carl.id,
      type: 'user.mentioned',
      objectType: 'comment',
      objectId: comment.id,
      groupKey: null,
    },
    {
      ...shared,
      counted: false,
      recipientId: ana.id,
      type: 'comment.created',
      objectType: 'post',
      objectId: post.id,
      groupKey: `comment.created:${post.id}`,
    },
  ])
  t.equal(events.length, 3)
})

t.test("a comment on one's own post counts and notifies nobody", async (t) => {
  const { as, pool } = await setup(t)
  const ana = await as('ana')
  const post = await ana.post('Hello')
  const { id } = await ana.comment(post.id, 'By the way')
  t.match(await readEvents(pool, 'comment'), [
    {
      counted: true,
      recipientId: null,
      type: null,
      objectId: id,
      data: { postId: post.id, commentId: id, parentId: null },
    },
  ])
})

t.test('deleted users are not notified of comments', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  await pool.query('update social.users set deleted_at = now() where id = $1', [ana.id])
  await ben.comment(post.id, '@ana, are you there?')
  t.match(await readEvents(pool, 'comment'), [{ counted: true, recipientId: null, type: null }])
})

t.test('a comment needs an existing post and a parent of that post', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const [post, other] = [await ana.post('One'), await ana.post('Two')]
  const elsewhere = await ana.comment(other.id, 'Elsewhere')
  const deleted = await ana.comment(post.id, 'Deleted')
  await ana.request('DELETE', `/comments/${deleted.id}`)
  const comment = (postId: string, body: object) => ana.request('POST', `/posts/${postId}/comment`, body)
  t.match(await comment('999999', { body: 'x' }), { status: 404, body: { code: 'POST_NOT_FOUND' } })
  for (const parentId of ['999999', elsewhere.id, deleted.id])
    t.match(await comment(post.id, { body: 'x', parentId }), { status: 404, body: { code: 'COMMENT_NOT_FOUND' } })
  for (const body of [
    {},
    { body: '' },
    { body: 'x'.repeat(2001) },
    { body: 'x', parentId: 'y' },
    { body: 'x', extra: 1 },
  ])
    t.match(await comment(post.id, body), { status: 400, body: { code: 'VALIDATION_FAILED' } })
  const list = (path: string) => ana.request('GET', path)
  t.match(await list('/posts/999999/comments'), { status: 404, body: { code: 'POST_NOT_FOUND' } })
  t.match(await list(`/posts/${post.id}/comments?parentId=${elsewhere.id}`), {
    status: 404,
    body: { code: 'COMMENT_NOT_FOUND' },
  })
})

t.test('only the author edits or deletes a comment', async (t) => {
  const { as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  const { id } = await ben.comment(post.id, 'Nice')
  t.match(await ana.request('PATCH', `/comments/${id}`, { body: 'x' }), { status: 403, body: { code: 'NOT_AUTHOR' } })
  t.match(await ana.request('DELETE', `/comments/${id}`), { status: 403, body: { code: 'NOT_AUTHOR' } })
  t.match(await ben.request('PATCH', `/comments/${id}`, { body: 'Nicer' }), {
    status: 200,
    body: { id, body: 'Nicer' },
  })
  t.match(await ben.request('PATCH', '/comments/999999', { body: 'x' }), {
    status: 404,
    body: { code: 'COMMENT_NOT_FOUND' },
  })
})

t.test('deleting a comment appends one counted event and a fan-out', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  const parent = await ana.comment(post.id, 'First')
  const { id } = await ben.comment(post.id, 'Second', parent.id)
  t.equal((await ben.request('DELETE', `/comments/${id}`)).status, 204)
  t.match(await ben.request('DELETE', `/comments/${id}`), { status: 404, body: { code: 'COMMENT_NOT_FOUND' } })
  const retracts = (await readEvents(pool, 'comment')).filter((event) => event.retracts)
  const data = { postId: post.id, commentId: id, parentId: parent.id }
  t.match(retracts, [
    { counted: true, recipientId: null, type: null, actorId: ben.id, sourceId: `comment:${id}`, data },
  ])
  t.equal(retracts.length, 1)
  const { rows } = await pool.query('select kind, object_id, thread_key from notify.fan_outs')
  t.same(rows, [{ kind: 'retract_comment', object_id: id, thread_key: `post:${post.id}` }])
})

t.test('deleting a post deletes its comments', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  const { id } = await ben.comment(post.id, 'Nice')
  await ana.request('DELETE', `/posts/${post.id}`)
  t.equal((await ben.request('DELETE', `/comments/${id}`)).status, 404)
  t.equal((await ben.request('PATCH', `/comments/${id}`, { body: 'x' })).status, 404)
  t.equal((await ben.request('GET', `/posts/${post.id}/comments`)).status, 404)
  t.equal((await readEvents(pool, 'comment')).length, 1)
})

t.test('a deleted comment remains without text while it has replies', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const post = await ana.post('Hello')
  const alone = await ana.comment(post.id, 'Alone')
  const top = await ana.comment(post.id, 'Top')
  const middle = await ana.comment(post.id, 'Middle', top.id)
  const bottom = await ana.comment(post.id, 'Bottom', middle.id)
  const listed = async () => (await ana.get(`/posts/${post.id}/comments`)).items
  for (const { id } of [alone, middle, top]) await ana.request('DELETE', `/comments/${id}`)
  t.match(await listed(), [{ id: top.id, body: '' }])
  t.equal((await listed()).length, 1)
  t.match((await ana.get(`/posts/${post.id}/comments?parentId=${top.id}`)).items, [{ id: middle.id, body: '' }])
  await ana.request('DELETE', `/comments/${bottom.id}`)
  t.same(await listed(), [])
})

t.test('comments are listed oldest first, in pages', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const post = await ana.post('Hello')
  const made: string[] = []
  for (let i = 0; i < 5; i++) made.push((await ana.comment(post.id, `Number ${i}`)).id)
  const ids: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page = await ana.get(`/posts/${post.id}/comments?limit=2${cursor && `&cursor=${cursor}`}`)
    ids.push(...page.items.map((item: { id: string }) => item.id))
    cursor = page.nextCursor
  }
  t.same(ids, made)
})

t.test('a comment concurrent with the deletion of its post is written before it or refused', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  for (let round = 0; round < 10; round++) {
    const post = await ana.post('Hello')
    const writing = Array.from({ length: 8 }, () => ben.request('POST', `/posts/${post.id}/comment`, { body: 'Hi' }))
    const deletion = await ana.request('DELETE', `/posts/${post.id}`)
    t.equal(deletion.status, 204)
    const answers = await Promise.all(writing)
    t.ok(answers.every(({ status }) => status === 201 || status === 404))
    const { rows } = await pool.query(
      `select count(*) filter (where o.action = 'comment')::int as written,
              max(o.id) filter (where o.action = 'comment') > max(o.id) filter (where o.action = 'post' and o.retracts) as late
       from notify.outbox o where o.thread_key = $1`,
      [`post:${post.id}`],
    )
    t.equal(rows[0].written, answers.filter(({ status }) => status === 201).length)
    t.not(rows[0].late, true, 'no comment after the deletion')
  }
})

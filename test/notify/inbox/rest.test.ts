import t from 'tap'
import { flushWindows } from '../../../src/notify/windows/flush.ts'
import type { TestClient } from '../../client.ts'
import { setup } from '../../setup.ts'
import { dispatch, drift, fillInbox } from '../dispatch/events.ts'

t.test('the inbox works over REST', async (t) => {
  const { app, as } = await setup(t)
  const [ana, ben, cem] = [await as('ana'), await as('ben'), await as('cem')]

  const likedTwice = async (author: TestClient) => {
    const post = await author.post('hello')
    await ben.like(post.id)
    await cem.like(post.id)
    await dispatch(app)
    return post
  }
  const list = async (who: TestClient, query = '') => who.get(`/notifications${query}`)

  t.test('the list shows actors, actions, counts and state', async (t) => {
    const post = await likedTwice(ana)
    const page = await list(ana)
    t.match(page, { unreadCount: 1, unseenCount: 1, nextCursor: null })
    t.match(page.items[0], {
      type: 'post.liked',
      title: 'cem and ben liked your post',
      url: `/posts/${post.id}`,
      fallback: 'cem and ben liked your post: hello',
      priority: 'low',
      severity: 'info',
      body: 'hello',
      data: { postId: post.id },
      actors: [
        { id: cem.id, username: 'cem', displayName: 'cem', avatarMediaId: null },
        { id: ben.id, username: 'ben' },
      ],
      actorCount: 2,
      object: { type: 'post', id: post.id },
      groupKey: `post.liked:${post.id}`,
      deliveredAt: null,
      readAt: null,
      archivedAt: null,
      seen: false,
      silent: false,
    })
    t.match(page.items[0].createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    t.same(await ana.get(`/notifications/${page.items[0].id}`), page.items[0])
    const { unreadCount, unseenCount, state } = page
    t.same(await ana.get('/notifications/unread-count'), { unreadCount, unseenCount, state })
    t.same(await ana.get('/notifications/unread-count?verify=true'), {
      unreadCount,
      unseenCount,
      state,
      recounted: { unreadCount: 1, unseenCount: 1 },
    })
    t.match(await ana.get('/notifications/stats'), {
      total: 1,
      byType: { 'post.liked': 1 },
      unreadByType: { 'post.liked': 1 },
      byPriority: { low: 1 },
      byState: { unread: 1, read: 0, unseen: 1, pending: 1, archived: 0, filtered: 0 },
    })
  })

  t.test('the actors of a group are listed in pages, latest first, without blocked users', async (t) => {
    const post = await ana.post('Who is behind this?')
    const others = [cem, ben, ...(await Promise.all(['gus', 'hal', 'ivy'].map(as)))]
    for (const other of others) await other.like(post.id)
    await dispatch(app)
    await app.pool.query('update notify.windows set due_at = now()')
    await flushWindows(app)
    const [group] = (await list(ana)).items
    t.match(group, { actorCount: 5, object: { id: post.id } })
    const names = async (query = '') => {
      const page = await ana.get(`/notifications/${group.id}/actors${query}`)
      return [page.items.map((actor: { username: string }) => actor.username), page.nextCursor]
    }
    t.same(await names(), [['ivy', 'hal', 'gus', 'ben', 'cem'], null])
    t.same((await ana.get(`/notifications/${group.id}/actors`)).items.slice(0, 3), group.actors, 'in the same form')
    const [first, cursor] = await names('?limit=2')
    t.same(
      [first, await names(`?cursor=${cursor}`)],
      [
        ['ivy', 'hal'],
        [['gus', 'ben', 'cem'], null],
      ],
    )
    t.equal((await ben.request('GET', `/notifications/${group.id}/actors`)).status, 404, 'of nobody else')
    await app.pool.query(
      'insert into social.blocks (user_id, other_id) select id, $1 from social.users where username = $2',
      [ana.id, 'hal'],
    )
    await others[2]?.unlike(post.id)
    await dispatch(app)
    t.same(await names(), [['ivy', 'ben', 'cem'], null])
    await ana.request('DELETE', `/notifications/${group.id}`)
  })

  t.test('a notification can be read, unread, archived, unarchived and deleted', async (t) => {
    const before = await list(ana)
    const { id } = before.items[0]
    const patch = async (verb: string, method = 'PATCH') => {
      const { status, body } = await ana.request(method, `/notifications/${id}/${verb}`)
      t.equal(status, 200, verb)
      return body
    }
    t.match(await patch('read'), { notification: { id, readAt: String, seen: true }, unreadCount: 0, unseenCount: 0 })
    t.equal((await patch('read', 'POST')).unreadCount, 0)
    t.match(await patch('unread'), { notification: { readAt: null, deliveredAt: String }, unreadCount: 1 })
    t.match(await patch('archive'), { notification: { archivedAt: String }, unreadCount: 0, unseenCount: 0 })
    t.same((await list(ana)).items, [])
    t.same((await list(ana, '?filter=unread')).items, [], 'unread, but put away')
    t.equal((await list(ana, '?filter=archived')).items.length, 1)
    t.equal((await list(ana, '/history')).items.length, 1)
    t.match(await patch('unarchive'), { notification: { archivedAt: null }, unreadCount: 1 })
    const removed = await ana.request('DELETE', `/notifications/${id}`)
    t.match(removed, { status: 200, body: { unreadCount: 0, unseenCount: 0 } })
    t.notHas(removed.body, 'notification')
    t.match(await ana.request('DELETE', `/notifications/${id}`), {
      status: 404,
      body: { code: 'NOTIFICATION_NOT_FOUND' },
    })
    t.match(await ana.get(`/notifications/changes?since=${before.state}`), {
      removes: [id],
      more: false,
      unreadCount: 0,
    })
  })

  t.test('pending lists undelivered notifications, history lists all', async (t) => {
    const ids = async (name: string) => (await list(ana, `/${name}`)).items.map(({ id }: { id: string }) => id)
    const history = await ids('history')
    await likedTwice(ana)
    const { items, state } = await list(ana)
    const id = items[0].id
    t.same(await ids('pending'), [id])
    t.same(await ids('history'), [id, ...history])
    t.equal((await ana.request('POST', '/notifications/ack', { state })).status, 204)
    t.same(await ids('pending'), [])
    t.equal((await ana.request('DELETE', `/notifications/${id}`)).status, 200)
    t.same(await ids('history'), history)
  })

  t.test('an acknowledgement that was answered survives a crash', async (t) => {
    await app.pool.query(`
      create table durability (setting text);
      create function note_durability() returns trigger language plpgsql as $$
      begin
        insert into durability values (current_setting('synchronous_commit'));
        return null;
      end $$;
      create trigger note_durability after update of acked_modseq on notify.inbox for each row execute function note_durability()`)
    const fay = await as('fay')
    await fillInbox(app, fay.id, 1)
    await fay.request('POST', '/notifications/ack', { state: (await list(fay)).state })
    t.same((await app.pool.query('select setting from durability')).rows, [{ setting: 'on' }])
    await app.pool.query('drop trigger note_durability on notify.inbox')
  })

  t.test('one request changes many notifications, by ids or up to a state', async (t) => {
    const dot = await as('dot')
    await fillInbox(app, dot.id, 10)
    const { state } = await list(dot)
    const [epoch] = state.split('.')
    const bulk = async (path: string, body: unknown, method = 'POST') =>
      (await dot.request(method, `/notifications/${path}`, body)).body
    t.match(await bulk('read', { ids: ['1', '2', '999'] }), { updated: 2, unreadCount: 8, unseenCount: 8 })
    t.match(await bulk('read', { upTo: `${epoch}.5` }), { updated: 3, unreadCount: 5 })
    t.match(await bulk('seen', { upTo: `${epoch}.7` }), { updated: 2, unseenCount: 3 })
    t.match(await bulk('archive', { ids: ['10'] }), { updated: 1, unreadCount: 4, unseenCount: 2 })
    t.match(await bulk('mark-all-read', {}, 'PATCH'), { updated: 4, unreadCount: 0 })
    t.match(await bulk('mark-all-read', undefined, 'PATCH'), { updated: 0 })
    t.match(await bulk('delete', { upTo: `${epoch}.9` }), { updated: 9, unreadCount: 0, unseenCount: 0 })
    t.same(await drift(app, [dot.id]), [])
  })

  t.test('a client without a socket pages through changes and acknowledges them', async (t) => {
    const eve = await as('eve')
    await fillInbox(app, eve.id, 5)
    const { state } = await list(eve)
    const [epoch] = state.split('.')
    const first = await eve.get(`/notifications/changes?since=${epoch}.0&limit=3`)
    t.match(first, { from: `${epoch}.0`, to: `${epoch}.3`, more: true })
    t.notHas(first, 'unreadCount')
    t.match(await eve.get(`/notifications/changes?since=${first.to}&limit=3`), {
      to: state,
      more: false,
      unreadCount: 5,
    })
    t.equal((await eve.request('POST', '/notifications/ack', { state: `${epoch}.3` })).status, 204)
    t.equal((await list(eve, '/pending')).items.length, 2)
    t.equal((await eve.request('POST', '/notifications/ack', { state: `${epoch}.4000` })).status, 204)
    t.equal((await list(eve, '/pending')).items.length, 0)
    t.equal((await list(eve)).state, state, 'delivery alone is no change')
    for (const old of [`${epoch}.6`, 'other.1'])
      t.match(await eve.request('GET', `/notifications/changes?since=${old}`), {
        status: 410,
        body: { code: 'STATE_TOO_OLD' },
      })
    await app.pool.query('update notify.inbox set floor_modseq = 2 where user_id = $1', [eve.id])
    t.equal((await eve.request('GET', `/notifications/changes?since=${epoch}.1`)).status, 410)
    t.equal((await eve.request('GET', `/notifications/changes?since=${epoch}.2`)).status, 200)
  })

  t.test("nobody can access another user's notifications", async (t) => {
    const { items } = await list(ana).then(async () => {
      await likedTwice(ana)
      return list(ana)
    })
    const { id } = items[0]
    const fred = await as('fred')
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', '/read'],
      ['PATCH', '/archive'],
      ['DELETE', ''],
    ] as const)
      t.match(await fred.request(method, `/notifications/${id}${path}`), {
        status: 404,
        body: { code: 'NOTIFICATION_NOT_FOUND' },
      })
    t.match((await fred.request('POST', '/notifications/read', { ids: [id] })).body, { updated: 0 })
    t.equal((await list(ana)).unreadCount, 1)
  })

  t.test('malformed input is refused with a code', async (t) => {
    const { state } = await list(ana)
    const [epoch, modseq] = state.split('.')
    const refused: [method: string, path: string, body?: unknown][] = [
      ['GET', '?filter=none'],
      ['GET', '?limit=0'],
      ['GET', '?limit=101'],
      ['GET', '?cursor=x'],
      ['GET', '?type=%00'],
      ['GET', '?priority=urgent'],
      ['GET', '?unknown=1'],
      ['GET', '/changes'],
      ['GET', '/changes?since=x'],
      ['GET', `/changes?since=${state}&limit=501`],
      ['GET', '/abc'],
      ['GET', '/99999999999999999999'],
      ['PATCH', '/0/read'],
      ['POST', '/read'],
      ['POST', '/read', {}],
      ['POST', '/read', { ids: ['1'], upTo: state }],
      ['POST', '/read', { ids: [1] }],
      ['POST', '/read', { ids: Array(501).fill('1') }],
      ['POST', '/read', { upTo: `${epoch}.${Number(modseq) + 1}` }],
      ['POST', '/archive', { upTo: 'other.1' }],
      ['POST', '/delete', { upTo: 7 }],
      ['POST', '/delete', '{"ids": ['],
      ['POST', '/seen', {}],
      ['POST', '/seen', { upTo: 'nonsense' }],
      ['POST', '/ack', { state: 'other.1' }],
      ['PATCH', '/mark-all-read', { upTo: state, more: 1 }],
    ]
    for (const [method, path, body] of refused) {
      const answer = await ana.request(method, `/notifications${path}`, body)
      t.match(
        answer,
        { status: 400, body: { code: /^(VALIDATION_FAILED|BAD_STATE|BAD_CURSOR|BAD_JSON)$/ } },
        `${method} ${path}`,
      )
    }
    t.equal((await list(ana)).state, state, 'nothing was written')
  })
})

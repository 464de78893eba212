import t from 'tap'
import { type Renderable, render as renderWith } from '../../../src/notify/types/render.ts'
import { setup } from '../../setup.ts'

const types = await (await setup(t)).app.types.current()
const render = (notification: Renderable) => renderWith(notification, types(notification.type))

const aLike: Renderable = {
  type: 'post.liked',
  title: null,
  body: null,
  url: null,
  data: { postId: '9' },
  objectType: 'post',
  objectId: '9',
  actorIds: ['1'],
  actorNames: ['Ana'],
  actorCount: 1,
}

t.test('people are named, two at most', (t) => {
  const title = (actorNames: string[], actorCount: number) => render({ ...aLike, actorNames, actorCount }).title
  t.equal(title(['Ana'], 1), 'Ana liked your post')
  t.equal(title(['Ana', 'Ben'], 2), 'Ana and Ben liked your post')
  t.equal(title(['Ana', 'Ben', 'Cem'], 3), 'Ana, Ben and 1 other liked your post')
  t.equal(title(['Ana', 'Ben', 'Cem'], 10), 'Ana, Ben and 8 others liked your post')
  t.equal(title([], 0), 'Someone liked your post')
  t.ok(title(['😀'.repeat(100), 'b'.repeat(100), 'c'], 1_000_000).length <= 400)
  t.ok([...title(['😀'.repeat(100), 'b'.repeat(100), 'c'], 1_000_000)].length <= 200)
  t.end()
})

t.test('each social type has its words and its link', (t) => {
  const words = (change: Partial<Renderable>) => {
    const { title, url } = render({ ...aLike, ...change })
    return [title, url]
  }
  const comment = { postId: '9', commentId: '5', parentId: '3' }
  t.same(words({ type: 'comment.created', data: comment }), ['Ana commented on your post', '/posts/9#comment-5'])
  t.same(words({ type: 'comment.replied', data: comment, objectType: 'comment', objectId: '3' }), [
    'Ana replied to your comment',
    '/posts/9#comment-5',
  ])
  t.same(words({ type: 'user.mentioned', data: comment, objectType: 'comment', objectId: '5' }), [
    'Ana mentioned you in a comment',
    '/posts/9#comment-5',
  ])
  t.same(words({ type: 'user.mentioned' }), ['Ana mentioned you in a post', '/posts/9'])
  t.same(words({ type: 'user.followed', data: { followeeId: '2' }, objectType: 'user', objectId: '2' }), [
    'Ana followed you',
    '/users/1',
  ])
  t.same(words({ type: 'post.published' }), ['Ana published a post', '/posts/9'])
  t.end()
})

t.test('what was sent wins, and the fallback is plain text', (t) => {
  const sent = { ...aLike, type: 'system', title: 'Hello', body: 'There you are', url: '/x', data: {} }
  t.same(render(sent), { title: 'Hello', body: 'There you are', url: '/x', fallback: 'Hello: There you are' })
  t.same(render({ ...sent, type: 'shop.paid', title: null, body: null, url: null }), {
    title: 'shop.paid',
    body: null,
    url: null,
    fallback: 'shop.paid',
  })
  t.equal(render(aLike).fallback, 'Ana liked your post')
  t.end()
})

import t from 'tap'
import { eventually, setup } from '../../setup.ts'

t.test('actions are counted, and retracted actions are not', async (t) => {
  const { as, pool } = await setup(t, { worker: true })
  const [ana, ben, carl] = [await as('ana'), await as('ben'), await as('carl')]
  const post = await ana.post('Hello')
  const spare = await ana.post('Too much')
  const comment = await ben.comment(post.id, 'First')
  const reply = await carl.comment(post.id, 'Second', comment.id)
  await carl.comment(post.id, 'Third', comment.id)
  await Promise.all([ana, ben, carl].map((user) => user.like(post.id)))
  await Promise.all([ben.follow(ana.id), carl.follow(ana.id), ana.follow(ben.id)])
  await eventually(async () => (await ana.get(`/posts/${post.id}`)).likeCount === 3)
  t.match(await carl.unlike(post.id), { liked: false, likeCount: 2 })
  await carl.unfollow(ana.id)
  await carl.request('DELETE', `/comments/${reply.id}`)
  await ana.request('DELETE', `/posts/${spare.id}`)

  const counts = async () => {
    const { likeCount, commentCount } = await ana.get(`/posts/${post.id}`)
    const [{ replyCount }] = (await ana.get(`/posts/${post.id}/comments`)).items
    const { followerCount, followingCount, postCount } = await ana.get(`/users/${ana.id}`)
    return [likeCount, commentCount, replyCount, followerCount, followingCount, postCount]
  }
  await eventually(async () => (await counts()).join() === '2,2,1,1,1,1')
  await eventually(async () => (await pool.query('select from ops.count_drift')).rowCount === 0)
})

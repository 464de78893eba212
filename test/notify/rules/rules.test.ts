import fc from 'fast-check'
import t from 'tap'
import { namesIn, recipientsOfComment, recipientsOfPost } from '../../../src/notify/rules/recipients.ts'

const names = (body: string) => namesIn(body).map(({ name }) => name)

t.test('names after an @ are mentions, lower-cased, anywhere in the text', async (t) => {
  t.same(names('@ana, @Ben and (@carl_9)! @ana again'), ['ana', 'ben', 'carl_9', 'ana'])
  t.same(names('ana@example.org é@ben _@carl @al @ @@dora'), ['dora'])
  t.same(names(`@${'a'.repeat(30)} @${'b'.repeat(31)}`), ['a'.repeat(30)])
})

t.test('the offsets of a mention are indices of a JavaScript string', async (t) => {
  t.same(namesIn('👩🏽‍🚀 @Ana'), [{ name: 'ana', start: 8, end: 12 }])
  const text = fc.array(
    fc.oneof(fc.constantFrom('@ana', '@Ben_9', ' ', '👍', 'é', '@'), fc.string({ unit: 'grapheme' })),
  )
  fc.assert(
    fc.property(text, (parts) => {
      const body = parts.join('')
      return namesIn(body).every(({ name, start, end }) => body.slice(start, end).toLowerCase() === `@${name}`)
    }),
  )
})

t.test('at most 50 users are mentioned, each with all their mentions', async (t) => {
  const body = Array.from({ length: 80 }, (_, i) => `@user_${i}`).join(' ')
  t.equal(names(body).length, 50)
  t.equal(names(`${body} @user_0 @user_79`).length, 51)
})

t.test('the most specific reason wins', async (t) => {
  const facts = { authorId: '1', postAuthorId: '2', parentAuthorId: '3', mentionedIds: ['2', '3', '4', '1'] }
  t.same(recipientsOfComment(facts), [
    { recipientId: '3', type: 'comment.replied', mentioned: true },
    { recipientId: '2', type: 'user.mentioned' },
    { recipientId: '4', type: 'user.mentioned' },
  ])
  t.same(recipientsOfComment({ ...facts, mentionedIds: [], postAuthorId: '3' }), [
    { recipientId: '3', type: 'comment.replied' },
  ])
  t.same(recipientsOfComment({ authorId: '1', postAuthorId: null, parentAuthorId: null, mentionedIds: [] }), [])
  t.same(recipientsOfPost({ authorId: '1', mentionedIds: ['1', '2'] }), [{ recipientId: '2', type: 'user.mentioned' }])
})

t.test('each person concerned is notified once, and the author never', async () => {
  const id = fc.constantFrom('1', '2', '3', '4')
  const facts = fc.record({
    authorId: id,
    postAuthorId: fc.option(id),
    parentAuthorId: fc.option(id),
    mentionedIds: fc.array(id),
  })
  fc.assert(
    fc.property(facts, (given) => {
      const recipients = recipientsOfComment(given).map((one) => one.recipientId)
      const concerned = new Set([given.postAuthorId, given.parentAuthorId, ...given.mentionedIds])
      concerned.delete(null)
      concerned.delete(given.authorId)
      return recipients.length === concerned.size && recipients.every((one) => [...concerned].some((id) => id === one))
    }),
  )
})

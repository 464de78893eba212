import fc from 'fast-check'
import { IntlMessageFormat } from 'intl-messageformat'
import t from 'tap'
import { beginningOf } from '../../../src/notify/inbox/previews.ts'
import { timeOf } from '../../../src/notify/inbox/view.ts'
import { compileMessage, type Values } from '../../../src/notify/types/compile.ts'
import { type Renderable, render as renderWith } from '../../../src/notify/types/render.ts'
import { setup } from '../../setup.ts'

const { app } = await setup(t)
const types = await app.types.current()
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
  preview: null,
}

t.test('a title names at most two actors', (t) => {
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

t.test('texts use the locale, its language or English, with the plural rules of the language', (t) => {
  const people = [[], ['Ana'], ['Ana', 'Ben'], ['Ana', 'Ben', 'Cem']]
  const titles = (type: string, locale: string, counts = [0, 1, 2, 3, 10]) =>
    counts.map((actorCount) => {
      const actorNames = people[Math.min(actorCount, 3)] ?? []
      return renderWith({ ...aLike, type, actorNames, actorCount }, types(type), locale).title
    })
  t.same(titles('post.liked', 'de-AT'), [
    'Jemandem gefällt dein Beitrag',
    'Ana gefällt dein Beitrag',
    'Ana und Ben gefällt dein Beitrag',
    'Ana, Ben und 1 weitere Person gefällt dein Beitrag',
    'Ana, Ben und 8 weitere Personen gefällt dein Beitrag',
  ])
  t.same(titles('comment.replied', 'de', [0, 1, 2]), [
    'Jemand hat auf deinen Kommentar geantwortet',
    'Ana hat auf deinen Kommentar geantwortet',
    'Ana und Ben haben auf deinen Kommentar geantwortet',
  ])
  t.same(titles('post.liked', 'fr'), titles('post.liked', 'en'), 'a language without words has the English ones')
  for (const type of ['comment.created', 'user.mentioned', 'user.followed', 'post.published'])
    t.notMatch(titles(type, 'de').join(), /you|post\b|Someone/, type)

  const title = '{count, plural, one {# osoba} few {# osoby} many {# osób} other {# osoby}}'
  const polish = { ...types('post.liked'), words: { pl: { title } } }
  const inPolish = (actorCount: number) =>
    renderWith({ ...aLike, actorNames: ['Ana', 'Ben'], actorCount }, polish, 'pl').title
  t.same([2, 4, 5, 12, 22, 25, 102].map(inPolish), [
    '2 osoby',
    '4 osoby',
    '5 osób',
    '12 osób',
    '22 osoby',
    '25 osób',
    '102 osoby',
  ])
  t.match(renderWith(aLike, polish, 'pl'), { url: '/posts/9', fallback: '1 osoba' })
  t.end()
})

const names = fc.constantFrom('first', 'count', 'n', 'missing')
const texts = fc.constantFrom('Ana', ' likes ', "it''s", "'{quoted}'", '<b>x</b>', '#', '😀', ' ')
/** ICU messages of texts, arguments, numbers, choices and nested plurals. */
const messages = fc.letrec<{ message: string; plural: string }>((tie) => ({
  message: fc
    .array(
      fc.oneof(
        { weight: 4, arbitrary: texts },
        { weight: 3, arbitrary: names.map((name) => `{${name}}`) },
        { weight: 3, arbitrary: tie('plural') },
        { weight: 1, arbitrary: names.map((name) => `{${name}, number}`) },
        { weight: 1, arbitrary: tie('message').map((inner) => `{first, select, Ana {${inner}} other {x}}`) },
      ),
      { maxLength: 4 },
    )
    .map((parts) => parts.join('')),
  plural: fc
    .record({
      name: names,
      kind: fc.constantFrom('plural', 'selectordinal'),
      offset: fc.constantFrom('', 'offset:1 ', 'offset:2 '),
      forms: fc.dictionary(fc.constantFrom('=0', '=1', '=2', 'one', 'two', 'few', 'many'), tie('message')),
      other: tie('message'),
    })
    .map(({ name, kind, offset, forms, other }) => {
      const all = Object.entries({ ...forms, other }).map(([form, inner]) => `${form} {${inner}}`)
      return `{${name}, ${kind}, ${offset}${all.join(' ')}}`
    }),
})).message

t.test('compiled messages give the same texts as the ICU library, and fail where it fails', (t) => {
  const value = fc.oneof(fc.nat(30), fc.integer(), fc.double(), fc.constantFrom('', '0', '3', 'Ana', 'x'))
  const values = fc.record<Values>({ first: value, count: value, n: value })
  const languages = fc.constantFrom('en', 'de', 'pl', 'ar', 'cy', 'de-AT')
  const attempt = (fill: () => unknown) => {
    try {
      return String(fill())
    } catch {
      return null
    }
  }
  let filled = 0
  fc.assert(
    fc.property(messages, languages, values, (message, language, given) => {
      const format = new IntlMessageFormat(message, language, undefined, { ignoreTag: true })
      const ours = attempt(() => compileMessage(message, language)(given))
      if (ours) filled += 1
      return ours === attempt(() => format.format(given))
    }),
    { numRuns: 200 },
  )
  t.ok(filled > 40, `${filled} of 200 have a text`)
  t.end()
})

t.test('times have milliseconds in UTC, whatever zone and precision PostgreSQL prints', async (t) => {
  const moments = [
    '2026-11-27 15:51:30.123999',
    '2026-11-27 15:51:30.12',
    '1999-12-31 23:59:59',
    '0099-01-01 00:00:00.5006',
  ]
  for (const zone of ['UTC', 'Asia/Kolkata', 'America/St_Johns']) {
    const { rows } = await app.pool.query<{ printed: string; time: Date }>(
      `select at::text as printed, at as time from unnest($1::timestamp[]) m (moment), timezone('UTC', moment) at
       where set_config('timezone', $2, true) is not null`,
      [moments, zone],
    )
    t.same(
      rows.map(({ printed }) => timeOf(printed)),
      rows.map(({ time }) => time.toISOString()),
      zone,
    )
    t.equal(rows.length, moments.length)
  }
})

t.test('each social type has its own text and link', (t) => {
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

t.test('the body of a social notification is the beginning of its post or comment, otherwise null', (t) => {
  for (const type of ['post.liked', 'comment.created', 'comment.replied', 'user.mentioned', 'post.published']) {
    const title = render({ ...aLike, type }).title
    t.match(render({ ...aLike, type, preview: '<b>{x}</b>' }), { body: '<b>{x}</b>', fallback: `${title}: <b>{x}</b>` })
    t.match(render({ ...aLike, type }), { body: null, fallback: title })
  }
  t.equal(render({ ...aLike, type: 'user.followed', preview: 'x' }).body, null)
  t.end()
})

t.test('a preview has at most 200 characters and splits no word or visible character', (t) => {
  t.equal(beginningOf('Hello, world'), 'Hello, world')
  t.equal(beginningOf(' \n\t '), null)
  t.equal(beginningOf('x'.repeat(200)), 'x'.repeat(200))
  t.equal(beginningOf('x'.repeat(201)), 'x'.repeat(200), 'one word that does not end')
  t.equal(beginningOf(`${'x'.repeat(150)} ${'y'.repeat(60)}`), 'x'.repeat(150))
  t.equal(beginningOf(`${'x'.repeat(200)} yy`), 'x'.repeat(200))
  const family = '👨‍👩‍👧‍👦'
  t.equal(beginningOf(family.repeat(30)), family.repeat(Math.floor(200 / family.length)))
  t.equal(beginningOf(`e${'\u0301'.repeat(300)}`), null, 'one character of 301 code units')
  const chinese = beginningOf('汉字没有空格。'.repeat(40)) ?? ''
  t.ok(chinese.length > 190 && chinese.length <= 200)
  const parts = fc.constantFrom(family, '🇩🇪', 'é', 'ก็', 'का', '\r\n', ' ', 'word', '汉', '👍🏽', '𝒜')
  const texts = fc.array(fc.oneof(parts, fc.string({ unit: 'grapheme' })), { minLength: 20, maxLength: 120 })
  const characters = new Intl.Segmenter('und', { granularity: 'grapheme' })
  fc.assert(
    fc.property(texts, (all) => {
      const whole = all.join('')
      const shown = beginningOf([...whole].slice(0, 201).join('')) ?? ''
      const ends = new Set([...characters.segment(whole)].map(({ index, segment }) => index + segment.length))
      return (
        shown.length <= 200 &&
        whole.startsWith(shown) &&
        (shown === '' || ends.has(shown.length)) &&
        shown.isWellFormed()
      )
    }),
  )
  t.end()
})

t.test('the text of a send overrides the template, and the fallback is plain text', (t) => {
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

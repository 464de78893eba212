import fc from 'fast-check'
import t from 'tap'
import { EventContentError } from '../../../src/base/failure.ts'
import { Coalescer } from '../../../src/db/coalescer.ts'
import { AppError } from '../../../src/errors.ts'

/** A statement that answers on request. */
type Statement = { kind: string; items: string[]; finish: () => void }

function recorder(options: { capacity?: number; maxBatch?: number; maxWaitMs?: number } = {}) {
  const statements: Statement[] = []
  const runAs = (kind: string) => (items: string[]) =>
    new Promise<string[]>((resolve) => {
      statements.push({ kind, items, finish: () => resolve(items.map((item) => `${kind} ${item}`)) })
    })
  const writer = new Coalescer<'like' | 'unlike', string, string>({
    keyOf: (item) => item,
    run: { like: runAs('like'), unlike: runAs('unlike') },
    ...options,
  })
  const nth = async (index: number): Promise<Statement> => {
    for (let turn = 0; turn < 1000; turn++) {
      const statement = statements[index]
      if (statement) return statement
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    throw new Error(`statement ${index} was never started`)
  }
  return { writer, statements, nth }
}

t.test('an idle coalescer writes at once, and requests that arrive meanwhile share one statement', async (t) => {
  const { writer, statements, nth } = recorder()
  const first = writer.add('like', 'a')
  await nth(0)
  const others = ['b', 'c', 'd'].map((item) => writer.add('like', item))
  t.same((await nth(1)).items, ['b', 'c', 'd'])
  const last = writer.add('like', 'e')
  t.equal(statements.length, 2, 'two statements of a kind at a time')
  for (const statement of statements) statement.finish()
  t.equal(await first, 'like a')
  t.same(await Promise.all(others), ['like b', 'like c', 'like d'])
  ;(await nth(2)).finish()
  t.equal(await last, 'like e')
  t.equal(writer.size, 0)
})

t.test('a full coalescer refuses with 503 and accepts again once it has room', async (t) => {
  const { writer, nth } = recorder({ capacity: 2 })
  const taken = [writer.add('like', 'a'), writer.add('like', 'b')]
  const refused = await writer.add('like', 'c').catch((error: unknown) => error)
  t.ok(refused instanceof AppError && refused.code === 'BUSY' && refused.status === 503 && refused.retryAfter === 1)
  ;(await nth(0)).finish()
  await Promise.all(taken)
  const later = writer.add('like', 'c')
  ;(await nth(1)).finish()
  t.equal(await later, 'like c')
})

t.test('a large batch is answered in order, over several turns of the event loop', async (t) => {
  const { writer, nth } = recorder()
  const answered: number[] = []
  const all = Promise.all(
    Array.from({ length: 200 }, (_, item) => writer.add('like', String(item)).then(() => answered.push(item))),
  )
  ;(await nth(0)).finish()
  const perTurn: number[] = []
  while (answered.length < 200) {
    const before = answered.length
    await new Promise((resolve) => setImmediate(resolve))
    perTurn.push(answered.length - before)
  }
  await all
  t.ok(Math.max(...perTurn) <= 64, `other work had its turn after ${perTurn} answers`)
  t.same(
    answered,
    answered.toSorted((one, other) => one - other),
  )
  t.equal(writer.size, 0)
})

t.test('a closing coalescer answers requests in progress and refuses later ones', async (t) => {
  const { writer, nth } = recorder()
  const taken = [writer.add('like', 'a'), writer.add('unlike', 'a')]
  const closed = writer.close()
  await t.rejects(writer.add('like', 'b'), { code: 'BUSY' })
  ;(await nth(0)).finish()
  ;(await nth(1)).finish()
  await closed
  t.same(await Promise.all(taken), ['like a', 'unlike a'])
})

t.test('a request that waited too long is refused and never written', async (t) => {
  const { writer, statements, nth } = recorder({ maxBatch: 1, maxWaitMs: 500 })
  const taken = [writer.add('like', 'a'), writer.add('like', 'b')]
  const late = writer.add('like', 'c')
  const sameKey = writer.add('unlike', 'c')
  const refused = Promise.all([t.rejects(late, { code: 'BUSY' }), t.rejects(sameKey, { code: 'BUSY' })])
  const [first, second] = [await nth(0), await nth(1)]
  await new Promise((resolve) => setTimeout(resolve, 550))
  first.finish()
  second.finish()
  await Promise.all(taken)
  await refused
  t.same(
    statements.map(({ items }) => items),
    [['a'], ['b']],
  )
  t.equal(writer.size, 0)
})

t.test('an invalid item fails alone', async (t) => {
  const writer = new Coalescer<'like', number, number>({
    keyOf: String,
    run: {
      like: async (items) => {
        if (items.includes(7)) throw new EventContentError('seven')
        return items.map((item) => item * 10)
      },
    },
  })
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, item) => writer.add('like', item)))
  outcomes.forEach((outcome, item) => {
    if (item === 7) t.match(outcome, { status: 'rejected', reason: { message: 'seven' } })
    else t.same(outcome, { status: 'fulfilled', value: item * 10 })
  })
})

t.test('a lost connection fails the batch without retrying its items', async (t) => {
  let statements = 0
  const writer = new Coalescer<'like', number, number>({
    keyOf: String,
    run: {
      like: async () => {
        statements++
        throw new Error('Connection terminated unexpectedly')
      },
    },
  })
  const outcomes = await Promise.allSettled([1, 2, 3].map((item) => writer.add('like', item)))
  t.ok(outcomes.every((outcome) => outcome.status === 'rejected'))
  t.equal(statements, 1)
})

t.test('items with the same key run once each, in order of arrival', async () => {
  const action = fc.record({ kind: fc.constantFrom('like', 'unlike'), key: fc.nat(3), wait: fc.nat(2) })
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), async (actions, maxBatch) => {
      const underWay = new Set<number>()
      const done: { kind: string; index: number }[] = []
      const runAs = (kind: string) => async (items: { key: number; index: number }[]) => {
        for (const { key } of items) {
          if (underWay.has(key)) throw new Error('two of one key under way')
          underWay.add(key)
        }
        if (underWay.size > 20 || items.length > maxBatch) throw new Error('too many')
        await new Promise((resolve) => setTimeout(resolve, items.length % 3))
        for (const { key, index } of items) {
          underWay.delete(key)
          done.push({ kind, index })
        }
        return items.map((item) => item.index)
      }
      const writer = new Coalescer<'like' | 'unlike', { key: number; index: number }, number>({
        keyOf: (item) => String(item.key),
        run: { like: runAs('like'), unlike: runAs('unlike') },
        maxBatch,
      })
      const answers: Promise<number>[] = []
      for (const [index, { kind, key, wait }] of actions.entries()) {
        answers.push(writer.add(kind, { key, index }))
        if (wait === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      const results = await Promise.all(answers)
      if (results.some((result, index) => result !== index)) throw new Error('an answer went to somebody else')
      for (const key of new Set(actions.map((one) => one.key))) {
        const came = actions.flatMap((one, index) => (one.key === key ? [index] : []))
        const ran = done.filter(({ index }) => actions[index]?.key === key).map(({ index }) => index)
        if (came.join() !== ran.join()) throw new Error(`key ${key}: came ${came}, ran ${ran}`)
      }
    }),
    { numRuns: 60 },
  )
})

t.test('onCommit runs after each successful batch, before its items are answered', async (t) => {
  const order: string[] = []
  const writer = new Coalescer<'like', string, string>({
    keyOf: (item) => item,
    run: {
      like: async (items) => {
        if (items.includes('bad')) throw new Error('the database is gone')
        return items
      },
    },
    onCommit: () => order.push('commit'),
  })
  await writer.add('like', 'a').then((item) => order.push(item))
  await t.rejects(writer.add('like', 'bad'), /gone/)
  await writer.add('like', 'b').then((item) => order.push(item))
  t.same(order, ['commit', 'a', 'commit', 'b'])
})

import { Ajv2020 } from 'ajv/dist/2020.js'
import { default as addFormats } from 'ajv-formats'
import type { Test } from 'tap'
import type { Answer } from '../client.ts'

type Operation = { responses: Record<string, { content?: Record<string, unknown> }> }
export type Document = { paths: Record<string, Record<string, Operation>> }

/** Compares an answer with the document's schema for its call and status; without one, it must be a problem. */
export function answersOf(document: Document) {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema(document, 'document')
  return (t: Test, name: string, { status, headers, body }: Answer) => {
    const [method = '', path = ''] = name.split(' ')
    const verb = method.toLowerCase()
    const responses = document.paths[path]?.[verb]?.responses ?? {}
    const key = status in responses ? String(status) : 'default'
    const sent = headers.get('content-type')?.split(';')[0] ?? ''
    const described = responses[key]?.content
    const type = described && '*/*' in described ? '*/*' : sent
    if (!described) return void t.notOk(body, `${name} ${status} has no body`)
    if (!(type in described))
      return void t.equal(type, Object.keys(described)[0], `${name} ${status} is of a described type`)
    const pointer = ['paths', path, verb, 'responses', key, 'content', type, 'schema'].map(escapeStep).join('/')
    const fits = ajv.getSchema(`document#/${pointer}`)
    t.ok(fits?.(body), `${name} ${status}: ${ajv.errorsText(fits?.errors)}`)
  }
}

function escapeStep(step: string): string {
  return encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))
}

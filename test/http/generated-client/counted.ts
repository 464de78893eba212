import * as generated from './api.ts'

/** The names of the client's functions that were asked for. */
export const called = new Set<string>()

/** The generated client, which takes note of what is called. */
export const api: typeof generated = new Proxy(generated, {
  get(client, name) {
    called.add(String(name))
    return Reflect.get(client, name)
  },
})

/** The names of all calls of the client. */
export const calls = Object.keys(generated).filter((name) => /^(get|post|put|patch|delete)[A-Z]/.test(name))

import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'

type Build = ReturnType<typeof SerializerSelector>

/** Fastify's serializers, each compiled for its first answer: compiling them all is a third of what the start of a server costs. */
export const buildSerializers: Build = (...given) => {
  const compile = SerializerSelector()(...given)
  return (route) => {
    let serialize: ReturnType<typeof compile> | undefined
    return (answer) => {
      serialize ??= compile(route)
      return serialize(answer)
    }
  }
}

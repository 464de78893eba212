/** An observable value for `useSyncExternalStore`. A snapshot stays the same object until its content changes. */
export type Store<T> = {
  getSnapshot(): T
  /** Calls `listener` after each change. Returns a function that unsubscribes. */
  subscribe(listener: () => void): () => void
}

export type Settable<T> = Store<T> & { set(value: T): void; isUsed(): boolean }

/** `onUse` is called when the first listener subscribes. */
export function createStore<T>(value: T, onUse?: () => void): Settable<T> {
  const listeners = new Set<() => void>()
  return {
    getSnapshot: () => value,
    subscribe(listener) {
      // Wraps the listener, so that subscribing the same function twice makes two subscriptions.
      const own = () => listener()
      listeners.add(own)
      if (listeners.size === 1) onUse?.()
      return () => listeners.delete(own)
    },
    isUsed: () => listeners.size > 0,
    set(next) {
      if (Object.is(next, value)) return
      value = next
      for (const listener of [...listeners]) listener()
    },
  }
}

/** Returns the old object if all fields of the new one are equal. */
export function kept<T extends object>(old: T, next: T): T {
  const keys = Object.keys(next) as (keyof T)[]
  return keys.length === Object.keys(old).length && keys.every((key) => Object.is(old[key], next[key])) ? old : next
}

export type Emitter<E> = {
  on<K extends keyof E>(event: K, listener: (value: E[K]) => void): () => void
  emit<K extends keyof E>(event: K, value: E[K]): void
}

export function createEmitter<E>(): Emitter<E> {
  const listeners = new Map<keyof E, Set<(value: never) => void>>()
  return {
    on(event, listener) {
      const own = (value: never) => listener(value)
      listeners.set(event, (listeners.get(event) ?? new Set()).add(own))
      return () => listeners.get(event)?.delete(own)
    },
    emit(event, value) {
      for (const listener of [...(listeners.get(event) ?? [])]) {
        try {
          listener(value as never)
        } catch (error) {
          // Rethrows the error of a listener in a microtask, so that it does not stop the other listeners.
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
  }
}

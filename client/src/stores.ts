/** A value that changes: what `useSyncExternalStore` takes. A snapshot stays the same object until something in it changes. */
export type Store<T> = {
  getSnapshot(): T
  /** Calls back after each change, until the function it returns is called. */
  subscribe(listener: () => void): () => void
}

export type Settable<T> = Store<T> & { set(value: T): void; isUsed(): boolean }

/** `onUse`: called when the first listener comes. */
export function createStore<T>(value: T, onUse?: () => void): Settable<T> {
  const listeners = new Set<() => void>()
  return {
    getSnapshot: () => value,
    subscribe(listener) {
      // Each subscription is one of its own, though the same function be given twice.
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

/** The old value where nothing in the new one differs. */
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
          // A listener's fault is the page's, and must not stop what comes after it.
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
  }
}

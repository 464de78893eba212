import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from 'react'
import { en, type Words } from './en.ts'
import { type Format, formatOf } from './format.ts'

export type Language = 'en' | 'de' | 'ar'
export type Theme = 'system' | 'light' | 'dark'
export const languages: readonly { value: Language; label: string }[] = [
  { value: 'en', label: 'English' },
  { value: 'de', label: 'Deutsch' },
  { value: 'ar', label: 'العربية' },
]

/** English is part of the first script; other languages are loaded when chosen. */
const loaders: Record<Language, () => Promise<(format: Format) => Words>> = {
  en: async () => en,
  de: async () => (await import('./de.ts')).de,
  ar: async () => (await import('./ar.ts')).ar,
}

type Look = { theme: Theme; language: Language }

/** The language setting of this browser, not of a user. theme.js reads it before the first paint. */
const KEY = 'ravenpost.look'
const listeners = new Set<() => void>()
let look = readLook()
applyLook()

export function useLook(): Look & { change(change: Partial<Look>): void } {
  const current = useSyncExternalStore(subscribe, () => look)
  return { ...current, change: changeLook }
}

type Spoken = { words: Words; language: Language; format: Format }
const english: Spoken = { words: en(formatOf('en')), language: 'en', format: formatOf('en') }
const Context = createContext<Spoken>(english)

/** Texts in the chosen language. */
export const useWords = () => useContext(Context).words
export const useLanguage = () => useContext(Context).language
export const useFormat = () => useContext(Context).format

export function WordsProvider({ children }: { children: ReactNode }) {
  const { language } = useLook()
  const [spoken, setSpoken] = useState<Spoken | undefined>(language === 'en' ? english : undefined)
  useEffect(() => {
    let wanted = true
    void loaders[language]().then((make) => {
      const format = formatOf(language)
      if (wanted) setSpoken({ words: make(format), language, format })
    })
    return () => {
      wanted = false
    }
  }, [language])
  return spoken && <Context value={spoken}>{children}</Context>
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function changeLook(change: Partial<Look>): void {
  look = { ...look, ...change }
  localStorage.setItem(KEY, JSON.stringify(look))
  applyLook()
  for (const listener of listeners) listener()
}

function readLook(): Look {
  const spoken = navigator.languages.map((language) => language.slice(0, 2))
  const language = languages.find(({ value }) => spoken.includes(value))?.value ?? 'en'
  try {
    return { theme: 'system', language, ...JSON.parse(localStorage.getItem(KEY) ?? '{}') }
  } catch {
    return { theme: 'system', language }
  }
}

function applyLook(): void {
  const { documentElement } = document
  documentElement.lang = look.language
  documentElement.dir = look.language === 'ar' ? 'rtl' : 'ltr'
  if (look.theme === 'system') delete documentElement.dataset.theme
  else documentElement.dataset.theme = look.theme
}

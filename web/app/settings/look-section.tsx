import { Segments } from '../../ui/field.tsx'
import { languages, useLook, useWords } from '../words/words.tsx'
import styles from './settings.module.css'

export function LookSection() {
  const { nav } = useWords()
  const { theme, language, change } = useLook()
  return (
    <section className={styles.card}>
      <h2>{nav.theme}</h2>
      <Segments
        label={nav.theme}
        value={theme}
        options={(['system', 'light', 'dark'] as const).map((value) => ({ value, label: nav.themes[value] }))}
        onChange={(value) => change({ theme: value })}
      />
      <h2>{nav.language}</h2>
      <Segments
        label={nav.language}
        value={language}
        options={languages}
        onChange={(value) => change({ language: value })}
      />
    </section>
  )
}

export { createJournal, type Entry, type Journal, type Past } from './journal.ts'
export { Devtools } from './panel.tsx'

import type { Sample } from './verdict.ts'

const [WIDTH, HEIGHT, LEFT, GAP] = [900, 170, 60, 50]
const panels: [title: string, belongs: (name: string) => boolean][] = [
  ['resident memory, MiB', (name) => name.endsWith('rss')],
  ['heap, MiB', (name) => name.endsWith('heap')],
  ['dead tuples', (name) => name.endsWith('dead')],
  ['table size, KiB', (name) => name.endsWith('KiB')],
  ['events not read yet, clients behind', (name) => name === 'unread' || name === 'clients behind'],
  ['latency of answers, ms', (name) => /^p\d+$/.test(name)],
]
const colours = ['#1b6ca8', '#d1495b', '#3a7d44', '#edae49', '#6a4c93', '#555555']

/** Draws the samples as one SVG: one panel per unit, one line per series, the highest value at the axis. */
export function chart(samples: Sample[]): string {
  const names = Object.keys(samples[0] ?? {})
  const shown = panels
    .map(([title, belongs]) => ({ title, series: names.filter(belongs) }))
    .filter((p) => p.series.length)
  const height = shown.length * (HEIGHT + GAP) + GAP
  const drawn = shown.map(({ title, series }, index) => panel(title, series, samples, index * (HEIGHT + GAP) + GAP))
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH + LEFT + 220}" height="${height}" font-family="sans-serif" font-size="12">
<title>Memory, tables and latency over the run</title>
<rect width="100%" height="100%" fill="white"/>\n${drawn.join('\n')}\n</svg>\n`
}

function panel(title: string, series: string[], samples: Sample[], top: number): string {
  const end = samples.at(-1)?.seconds ?? 1
  const highest = Math.max(1, ...series.flatMap((name) => samples.map((sample) => sample[name] ?? 0)))
  const point = (seconds: number, value: number) =>
    `${(LEFT + (seconds / end) * WIDTH).toFixed(1)},${(top + HEIGHT * (1 - value / highest)).toFixed(1)}`
  const pointsOf = (name: string) =>
    samples.flatMap(({ seconds, [name]: value }) => (value === undefined ? [] : [point(seconds, value)]))
  const lines = series.map((name, index) => {
    const colour = colours[index % colours.length]
    const dash = index >= colours.length ? ' stroke-dasharray="4 2"' : ''
    return `<polyline fill="none" stroke="${colour}"${dash} points="${pointsOf(name).join(' ')}"/>
<text x="${LEFT + WIDTH + 10}" y="${top + 14 + 16 * index}" fill="${colour}">${name}</text>`
  })
  return `<text x="${LEFT}" y="${top - 8}" font-weight="bold">${title}</text>
<path d="M${LEFT},${top} v${HEIGHT} h${WIDTH}" fill="none" stroke="#999"/>
<text x="${LEFT - 6}" y="${top + 10}" text-anchor="end">${highest}</text><text x="${LEFT - 6}" y="${top + HEIGHT}" text-anchor="end">0</text>
<text x="${LEFT + WIDTH}" y="${top + HEIGHT + 16}" text-anchor="end">${Math.round(end / 60)} min</text>
${lines.join('\n')}`
}

import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signAccessToken } from '../../src/social/sessions/tokens.ts'
import { cpuMs } from '../machine/cost.ts'
import { GENERATOR_CORE, isPinned } from '../machine/pin.ts'
import { JWT_SECRET, likerOf, type World } from '../world.ts'

export type WrkResult = {
  answered: number
  failed: number
  perSecond: number
  nextPost: number
  /** Milliseconds. */
  p50: number
  p99: number
  /** CPU milliseconds of wrk itself. */
  cpuMs: number
}

/** The script prints this at the end. `requests`: answers. `failed`: statuses above 399, timeouts and broken connections. */
type Summary = { requests: number; failed: number; microseconds: number; p50: number; p99: number; sent: number }

/**
 * Likes one post after the other from `firstPost` on, as fast as `connections` allow, with Debian's wrk (`apt-get install
 * wrk`). It is written in C and takes a tenth of the CPU time of a generator in Node.
 */
export async function likeByWrk(
  world: World,
  { url, firstPost, seconds, connections }: { url: string; firstPost: number; seconds: number; connections: number },
): Promise<WrkResult> {
  const folder = await mkdtemp(join(tmpdir(), 'ravenpost-wrk-'))
  try {
    const script = join(folder, 'likes.lua')
    await writeFile(script, scriptOf(world, firstPost))
    const flags = ['--threads=1', `--connections=${connections}`, `--duration=${seconds}s`, '--timeout=30s']
    const { output, cpu } = await runWrk([...flags, `--script=${script}`, url])
    const line = output.split('\n').find((each) => each.startsWith('{'))
    if (!line) throw new Error(`wrk printed no summary:\n${output}`)
    const { requests, failed, microseconds, p50, p99, sent }: Summary = JSON.parse(line)
    const nextPost = firstPost + sent
    if (nextPost > world.posts) throw new Error(`wrk liked more than the ${world.posts} posts there are`)
    const answered = requests - failed
    return { answered, failed, perSecond: answered / (microseconds / 1e6), nextPost, p50, p99, cpuMs: cpu }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** wrk calls `request` for each request, and `done` once. Each thread has its own Lua state, so the count is handed over. */
function scriptOf(world: World, firstPost: number): string {
  const config = { jwtSecret: JWT_SECRET, accessTokenTtl: 86_400 }
  const heads = Array.from({ length: world.likers }, (_, index) => {
    const id = String(likerOf(world, index))
    const token = signAccessToken(config, { userId: id, sessionId: id, role: 'user' })
    return `"/like HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer ${token}\\r\\nContent-Length: 0\\r\\n\\r\\n"`
  })
  return `
local heads = { ${heads.join(',\n')} }
local threads = {}
sent = 0
function setup(thread) table.insert(threads, thread) end
function request()
  local post = ${firstPost} + sent
  sent = sent + 1
  return "POST /posts/" .. post .. heads[post % ${world.likers} + 1]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"failed":%d,"microseconds":%d,"p50":%f,"p99":%f,"sent":%d}\\n', summary.requests,
    e.status + e.timeout + e.connect + e.read + e.write, summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    threads[1]:get("sent")))
end
`
}

async function runWrk(args: string[]): Promise<{ output: string; cpu: number }> {
  const [command = '', ...all] = [...(isPinned() ? ['taskset', '-c', GENERATOR_CORE] : []), 'wrk', ...args]
  const child = spawn(command, all, { stdio: ['ignore', 'pipe', 'pipe'] })
  let [output, cpu] = ['', 0]
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk
    })
  // An ended process has no times any more, so the last reading is slightly early.
  const timer = setInterval(() => {
    cpu = Math.max(cpu, cpuMs([{ name: 'wrk', pid: child.pid ?? 0 }]).wrk ?? 0)
  }, 50)
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve)).finally(() =>
    clearInterval(timer),
  )
  if (code !== 0) throw new Error(`wrk ended with status ${code}:\n${output}`)
  return { output, cpu }
}

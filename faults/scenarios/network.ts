import { createConnection, type Socket } from 'node:net'
import type { Scenario, Stage } from '../scenario.ts'
import type { TcpProxy, Weather } from '../system/proxy.ts'
import { SECOND, sleep } from '../wait.ts'

type Side = 'database' | 'front'
const sides: [Side, string][] = [
  ['database', 'between the processes and PostgreSQL'],
  ['front', 'between clients and servers'],
]

/** Network faults on both sides of the processes, and hostile peers. */
export const network: Scenario[] = [
  ...sides.flatMap(([side, where]) => [
    repeated(`network-${side}-cut`, `connections ${where} are reset at random`, side, (proxy, stage) =>
      proxy.cut(() => stage.random.below(3) === 0),
    ),
    repeated(`network-${side}-half-close`, `connections ${where} are closed in one direction`, side, (proxy, stage) =>
      proxy.halfClose(() => stage.random.below(3) === 0),
    ),
    spell(`network-${side}-delay`, `40 ms on every packet ${where}`, side, 'delay', 20),
    spell(`network-${side}-trickle`, `64 bytes at a time ${where}`, side, 'trickle', 20),
    spell(`network-${side}-stall`, `bytes ${where} are held back for a while and then delivered`, side, 'stall', 10),
    swallowed(side, where),
  ]),
  {
    name: 'network-partition',
    what: 'open connections to PostgreSQL are cut and new ones refused for 10 seconds',
    async disturb({ system, quick }) {
      for (const proxy of system.database.values()) {
        proxy.weather = 'refuse'
        proxy.cut()
      }
      await sleep((quick ? 3 : 10) * SECOND)
      for (const proxy of system.database.values()) proxy.weather = 'pass'
    },
  },
  {
    name: 'network-flood',
    what: '600 half-open sockets, endless requests and upgrades without a hello',
    async disturb(stage) {
      const sockets = Array.from({ length: 600 }, (_, number) => slowSocket(stage, number))
      await sleep((stage.quick ? 5 : 30) * SECOND)
      for (const socket of sockets) socket.destroy()
    },
  },
]

function repeated(name: string, what: string, side: Side, strike: (proxy: TcpProxy, stage: Stage) => void): Scenario {
  return {
    name,
    what,
    quick: name === 'network-database-cut',
    async disturb(stage) {
      for (let round = 0; round < (stage.quick ? 4 : 30); round += 1) {
        for (const proxy of stage.system[side].values()) strike(proxy, stage)
        await sleep((0.3 + stage.random.next()) * SECOND)
      }
    },
  }
}

function spell(name: string, what: string, side: Side, weather: Weather, seconds: number): Scenario {
  return {
    name,
    what,
    async disturb({ system, quick }) {
      for (const proxy of system[side].values()) proxy.weather = weather
      await sleep((quick ? Math.min(seconds, 5) : seconds) * SECOND)
      for (const proxy of system[side].values()) proxy.weather = 'pass'
    },
  }
}

/** Open connections stop carrying bytes and neither side notices, as when a firewall loses their state. */
function swallowed(side: Side, where: string): Scenario {
  return {
    name: `network-${side}-swallow`,
    what: `open connections ${where} silently stop carrying bytes; new ones work`,
    async disturb({ system, quick }) {
      for (const proxy of system[side].values()) proxy.swallow()
      // Until every waiting caller has timed out.
      await sleep((quick ? 12 : 20) * SECOND)
    },
  }
}

const beginnings = [
  '',
  'GET /posts HTTP/1.1\r\nHost: a\r\nX-Slow: ',
  'POST /auth/signin HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"login"',
  'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ravenpost.v1\r\n\r\n',
]

function slowSocket({ system, random }: Stage, number: number): Socket {
  const victim = random.pick([...system.front.keys()])
  const socket = createConnection({ port: victim.port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.write(beginnings[number % beginnings.length] ?? '')
  return socket
}

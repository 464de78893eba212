const SECOND = 1000
const KIB = 1024

/** Every limit of the websocket, with its reason; a test may shorten the times. */
export const limits = {
  /** A socket that has not said hello is nobody's: it may cost us a connection for this long. */
  helloMs: 5 * SECOND,
  /** Below the 30 to 60 s after which proxies drop silent connections. */
  heartbeatMs: 25 * SECOND,
  /** A client's frame holds 500 ids at most. */
  maxPayload: 64 * KIB,
  /** Above this a socket is not written to until it has drained; its changes wait in the database. */
  maxBuffered: 256 * KIB,
  socketsPerUser: 20,
  /** What a socket may spend on frames in a window: 60 frames, or 600 acks, which are batched and cost next to nothing. */
  frameWindowMs: 10 * SECOND,
  frameBudget: 600,
  /** What all sockets of a user may spend: room for 20 that acknowledge 10 frames a second each. */
  userFrameBudget: 3000,
  frameCost: 10,
  ackCost: 1,
  /** A hello reads an inbox: 100 of a user in a window. */
  helloCost: 30,
  /** Upgrades of a network in a window that no good hello follows: room for an office that comes back at once. */
  upgradeBudget: 300,
  upgradeWindowMs: 60 * SECOND,
  /** More frames than this in a minute that were not understood: not a client of ours. */
  badFrames: 10,
  badFramesWindowMs: 60 * SECOND,
  /** Items in one `changes` frame. */
  itemsPerFrame: 100,
  /** A user whose inbox changes all the time is sent 10 frames a second; one whose inbox was quiet, at once. */
  betweenFramesMs: 100,
  /** Users read by one statement; the others come in the next. */
  usersPerRead: 200,
  /** Who is further behind than this catches up; who is not goes first. */
  itemsOfLive: 10,
  /** Changes that those who catch up are read together, and octets of all that is read: a tenth of a second of work. */
  itemsPerRead: 500,
  octetsPerRead: 4096 * KIB,
  /** Connections for reading and for acks: of their own, so that no storm of requests holds up what is pushed. */
  connections: 6,
  /** One read runs at a time, so one that the network swallowed would hold up everybody until TCP gives up, a quarter of an hour. */
  queryMs: 10 * SECOND,
  betweenCountsMs: 250,
  /** Comments and feeds: twice a second. */
  betweenContentMs: 500,
  ackLingerMs: 50,
  /** Inboxes acknowledged in one transaction, which holds them locked. */
  acksPerWrite: 500,
  /** How long a closing handshake may take before the connection is cut. */
  closeMs: 2 * SECOND,
}

export type Limits = typeof limits

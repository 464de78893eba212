const SECOND = 1000
const KIB = 1024

/** All limits of the websocket, with their reasons. Tests may shorten the times. */
export const limits = {
  /** A socket has no user before its hello, so it may occupy a connection only this long. */
  helloMs: 5 * SECOND,
  /** Interval of pings: less than the 30 to 60 s after which proxies drop silent connections. */
  heartbeatMs: 25 * SECOND,
  /** Maximum size of a client's frame, which contains at most 500 ids. */
  maxPayload: 64 * KIB,
  /**
   * Buffered bytes above which nothing is written to a socket until it has drained. Its changes remain in the database.
   */
  maxBuffered: 256 * KIB,
  socketsPerUser: 20,
  /** What one socket may spend on frames per period: 60 frames, or 600 acks, which are batched and cheap. */
  framePeriodMs: 10 * SECOND,
  frameBudget: 600,
  /** What all sockets of a user may spend: enough for 20 sockets that each acknowledge 10 frames a second. */
  userFrameBudget: 3000,
  frameCost: 10,
  ackCost: 1,
  /** Cost of a hello, which reads an inbox. Allows a user 100 of them per period. */
  helloCost: 30,
  /** Maximum upgrades per network and period without a valid hello. Enough for an office that reconnects at once. */
  upgradeBudget: 300,
  upgradePeriodMs: 60 * SECOND,
  /** Maximum invalid frames per minute. With more, the client is broken or hostile. */
  badFrames: 10,
  badFramesPeriodMs: 60 * SECOND,
  /** Maximum items in one `changes` frame. */
  itemsPerFrame: 100,
  /** Minimum time between two frames to an inbox. A quiet inbox gets its frame at once. */
  betweenFramesMs: 100,
  /** Users read by one statement. The others are read next. */
  usersPerRead: 200,
  /** Maximum items of a live user. A user who is further behind is catching up and comes after the others. */
  itemsOfLive: 10,
  /** Changes per read for all users who catch up, and octets per read: about a tenth of a second of work. */
  itemsPerRead: 500,
  octetsPerRead: 4096 * KIB,
  /** Dedicated connections for reads and acks, so that a flood of requests does not delay pushes. */
  poolSize: 6,
  /**
   * One read runs at a time. Without a timeout, a read lost in the network would block all users until TCP gives up,
   * after a quarter of an hour.
   */
  queryMs: 10 * SECOND,
  betweenCountsMs: 250,
  /** Minimum time between two frames about comments or feeds. */
  betweenContentMs: 500,
  ackLingerMs: 50,
  /** Inboxes acknowledged in one transaction, which locks them. */
  acksPerWrite: 500,
  /** Time for the closing handshake before the connection is cut. */
  closeMs: 2 * SECOND,
}

export type Limits = typeof limits

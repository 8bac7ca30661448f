/**
 * Behaviour of a simulated endpoint. Written from the source documents, on purpose without a look at the client's
 * profiles: a shared mistake would hide.
 */
export interface SimDialect {
  readonly name: string;
  readonly match: RegExp;
  readonly tokenIn: 'query' | 'header' | 'either' | 'both';
  readonly subprotocol?: string;
  /** True where any frame from the client is answered with 1002. */
  readonly silentClient: boolean;
  /** Way in which the client names the point to go on from. */
  readonly resume: 'sequence' | 'since' | 'cursor' | 'frame' | 'none';
  /** Interval of the server's pings, ms; 0: it sends none. */
  readonly pingEveryMs: number;
  readonly refresh: 'none' | 'token-refresh' | 'x-nice-auth';
  readonly eventTypes: readonly string[];
}

const SIM_DIALECTS: readonly SimDialect[] = [
  {
    name: 'genesys-architect',
    match: /^\/api\/v2\/architect\/websocket$/,
    tokenIn: 'query',
    silentClient: false,
    resume: 'frame',
    pingEveryMs: 0,
    refresh: 'none',
    eventTypes: ['queueEvents', 'conversationEvents'],
  },
  {
    name: 'genesys-analytics-events',
    match: /^\/api\/v2\/analytics\/events$/,
    tokenIn: 'either',
    silentClient: true,
    resume: 'since',
    pingEveryMs: 0,
    refresh: 'none',
    eventTypes: ['interaction.routed', 'interaction.completed'],
  },
  {
    name: 'cxone-events',
    match: /^\/api\/v2\/ws\/events$/,
    tokenIn: 'either',
    silentClient: true,
    resume: 'cursor',
    pingEveryMs: 0,
    refresh: 'none',
    eventTypes: ['screenpop', 'agentState'],
  },
  {
    name: 'genesys-analytics-streaming',
    match: /^\/api\/v2\/analytics\/streaming$/,
    tokenIn: 'header',
    silentClient: false,
    resume: 'none',
    pingEveryMs: 0,
    refresh: 'token-refresh',
    eventTypes: ['realtime.observation'],
  },
  {
    name: 'cxone-realtime',
    match: /^\/api\/v2\/streaming\/real-time$/,
    tokenIn: 'header',
    silentClient: false,
    resume: 'none',
    pingEveryMs: 0,
    refresh: 'x-nice-auth',
    eventTypes: ['contact.updated'],
  },
  {
    name: 'genesys-streams',
    match: /^\/api\/v2\/(routing-streams|call-streams|presence-streams|interaction-streams)$/,
    tokenIn: 'query',
    silentClient: true,
    resume: 'sequence',
    pingEveryMs: 30_000,
    refresh: 'none',
    eventTypes: ['routing.queue.changed', 'routing.agent.changed'],
  },
  {
    name: 'genesys-gateway',
    match: /^\/api\/v2\/$/,
    tokenIn: 'both',
    subprotocol: 'genesys',
    silentClient: false,
    resume: 'none',
    pingEveryMs: 0,
    refresh: 'none',
    eventTypes: ['presence.changed'],
  },
];

/** Returns the dialect that serves a path; undefined: none does. */
export function dialectOf(path: string): SimDialect | undefined {
  return SIM_DIALECTS.find((one) => one.match.test(path));
}

/**
 * The configuration: one schema of all documents (this file), loading, rules between fields (relations.ts), hosts, and
 * plans, which give every machine its policy (plan.ts). This folder never connects to a platform, store or consumer and
 * never holds a secret: credential files are upstream's. Faults become problems with field, rule and remedy; commands
 * turn those into exit code 78.
 */

import { z } from 'zod';
import { DIALECTS } from '../platforms/index.ts';
import type { Dialect } from '../platforms/profile.ts';
import { byteSize, duration } from './quantities.ts';

export const API_VERSION = 'holdfast.dev/v1alpha1';

const NAME = z
  .string()
  .regex(
    /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
    'must be a DNS-1123 label: lower-case letters, digits and "-", at most 63 characters',
  );
const CLEAN = /^[^\u0000-\u001f\u007f]*$/;
const text = (max: number): z.ZodString =>
  z.string().min(1, 'must not be empty').max(max).regex(CLEAN, 'must not contain control characters (CR, LF, NUL)');
const origin = text(300).describe(
  'Scheme and host, such as https://login.example.com. http and ws are allowed toward loopback only.',
);

/** A key of a Secret: a name without any path. */
const fileName = text(253).regex(
  /^([-_A-Za-z0-9][-._A-Za-z0-9]*|\.[-_A-Za-z0-9][-._A-Za-z0-9]*|\.\.[-._A-Za-z0-9]+)$/,
  'must be a file name: letters, digits, "-", "_" and "."',
);
const restPath = text(500).regex(/^\/([^/]|$)/, 'must begin with one slash');

const metadata = z.object({
  name: NAME.describe('Name of the object; unique per kind.'),
  namespace: text(63).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});

const credentials = z
  .strictObject({
    directory: text(4096)
      .optional()
      .describe('Directory with one file per credential. Files are read again whenever a token is asked for.'),
    secretRef: z
      .strictObject({ name: NAME.describe('Name of the Secret, in the namespace of the StreamClient.') })
      .optional()
      .describe('Kubernetes Secret that the attached sidecar mounts. In a file, use directory.'),
    grant: z
      .enum(['ClientCredentials', 'RefreshToken', 'Auto'])
      .default('Auto')
      .describe('OAuth grant. Auto: RefreshToken where a refreshToken file exists, else ClientCredentials.'),
    keys: z
      .strictObject({
        clientId: fileName.default('clientId').describe('File with the client id.'),
        clientSecret: fileName.default('clientSecret').describe('File with the client secret.'),
        refreshToken: fileName.default('refreshToken').describe('File with the refresh token.'),
      })
      .prefault({})
      .describe('File names inside the directory.'),
    scopes: z.array(text(200)).max(50).default([]).describe('Scopes to ask for. Empty: those of the client.'),
  })
  .describe('Where the OAuth client comes from. Secrets are files, never values in a document.');

const token = z
  .strictObject({
    rotateAtPercent: z
      .number()
      .min(50)
      .max(95)
      .default(80)
      .describe("Share of a token's life after which it is replaced."),
    leadTime: duration({ max: '1h' })
      .prefault('120s')
      .describe('Latest replacement before expiry; the earlier of the two counts, never before half the life.'),
    minRemainingAtDial: duration({ max: '1h' })
      .prefault('60s')
      .describe('Life a token must have left for a first connection. Never more than 20 % of its life.'),
    minRemainingAtRedial: duration({ max: '1h' })
      .prefault('300s')
      .describe('Life a token must have left for a reconnection. Never more than 20 % of its life.'),
    validate: z
      .boolean()
      .optional()
      .describe('Test a new token with a REST call before it is used. Default: as the dialect says.'),
    validatePath: restPath.optional().describe('REST path of that test.'),
    minInterval: duration({ max: '1h' }).prefault('30s').describe('Shortest time between two token requests.'),
  })
  .prefault({})
  .describe('Token rotation.');

const reconnect = z
  .strictObject({
    baseDelay: duration({ min: '1ms', max: '10m' })
      .prefault('1s')
      .describe('First delay. At least 1s unless every host is loopback.'),
    maxDelay: duration({ max: '1h' }).prefault('60s').describe('Cap of the delay, applied before jitter.'),
    multiplier: z
      .number()
      .min(1)
      .max(10)
      .default(2)
      .describe('Growth of the delay from one failed attempt to the next.'),
    jitterLow: z
      .number()
      .min(0)
      .max(2)
      .default(0.5)
      .describe('The delay is multiplied by a random number in [jitterLow, jitterHigh).'),
    jitterHigh: z.number().min(0).max(2).default(1.5).describe('See jitterLow.'),
    extendedBaseDelay: duration({ max: '10m' }).prefault('2s').describe('First delay after 429 or 1013.'),
    extendedMaxDelay: duration({ max: '1h' }).prefault('120s').describe('Cap of the delay after 429 or 1013.'),
    maxAttempts: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(0)
      .describe('Failed attempts in a row before onExhausted; 0 = unlimited.'),
    maxWindow: duration()
      .optional()
      .describe('Longest episode of failures before onExhausted, from its first failure.'),
    onExhausted: z
      .enum(['breaker', 'fatal'])
      .default('breaker')
      .describe('breaker: open the circuit breaker, then go on. fatal: stop the stream; the process stays up.'),
    resetOn: z
      .enum(['event'])
      .default('event')
      .describe(
        'What sets the retry counter back: a received event (or a minute of a living, quiet link), never a handshake.',
      ),
  })
  .prefault({})
  .describe('One backoff formula: min(baseDelay * multiplier^n, maxDelay), times jitter.');

const maintenance = z
  .union([
    z.strictObject({
      from: z.iso.datetime({ offset: true }).describe('Begin of a single window, RFC 3339.'),
      to: z.iso.datetime({ offset: true }).describe('End of a single window, RFC 3339.'),
    }),
    z.strictObject({
      dailyAt: z
        .string()
        .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be HH:MM, UTC')
        .describe('Begin of a daily window, HH:MM in UTC.'),
      for: duration({ min: '1m', max: '12h' }).describe('Length of the daily window.'),
    }),
  ])
  .describe('A known maintenance window: no dial is attempted in it. Open streams are left alone.');

const streamClientSpec = z
  .strictObject({
    platform: z.enum(['GenesysCloud', 'NiceCXone']).describe('Vendor.'),
    region: text(100)
      .regex(/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/, 'must be a region name or a domain')
      .describe('Genesys Cloud: AWS region or domain (us-east-1 or mypurecloud.com). CXone: area (na1).'),
    hosts: z
      .strictObject({ login: origin.optional(), api: origin.optional(), streaming: origin.optional() })
      .prefault({})
      .describe("Overrides of the platform's hosts."),
    tenantId: text(200)
      .optional()
      .describe('Organisation or tenant, for the registry and for the pool; by default the OAuth client id.'),
    credentials,
    token,
    reconnect,
    gate: z
      .strictObject({
        capacity: z.int().min(1).max(1000).default(3).describe('Connection attempts allowed at once.'),
        refillEvery: duration({ min: '1ms', max: '1h' }).prefault('6s').describe('One further attempt per this time.'),
        concurrent: z.int().min(1).max(100).default(1).describe('Attempts under way at one time.'),
      })
      .prefault({})
      .describe(
        'No window of w seconds sees more than capacity + w / refillEvery connection attempts of this OAuth client.',
      ),
    circuitBreaker: z
      .strictObject({
        failureRatePercent: z
          .number()
          .min(1)
          .max(100)
          .default(80)
          .describe('Share of failed attempts above which the breaker opens.'),
        window: duration({ min: '100ms', max: '1h' }).prefault('60s').describe('Time over which attempts are counted.'),
        minSamples: z
          .int()
          .min(1)
          .max(1000)
          .default(5)
          .describe('Attempts in the window below which the breaker stays closed.'),
        open: duration({ min: '10ms', max: '24h' })
          .prefault('5m')
          .describe('How long no attempt is made; then one probe.'),
      })
      .prefault({})
      .describe('More than failureRatePercent failed attempts in window halt all attempts for open; then one probe.'),
    lease: z
      .strictObject({
        ttl: duration({ min: '100ms' })
          .prefault('6s')
          .describe('Life of the lease without a renewal; at the latest after it another replica may lead.'),
        renewEvery: duration({ min: '10ms' })
          .prefault('2s')
          .describe('Time between two renewals; less than half of ttl.'),
        margin: duration({ min: '10ms' })
          .prefault('500ms')
          .describe('The leader stops this long before its lease can expire.'),
      })
      .prefault({})
      .describe('Leadership among replicas.'),
    pool: z
      .strictObject({
        maxStreams: z.int().min(1).max(200).default(50).describe('Streams held at once; the rest wait by priority.'),
      })
      .prefault({})
      .describe('Streams one tenant may hold.'),
    maintenance: z.array(maintenance).max(100).default([]).describe('Known maintenance windows of the platform.'),
    suspend: z.boolean().default(false).describe('true: hold no stream and dial nothing.'),
  })
  .describe('One OAuth client: who leads it, how it authenticates, how it reconnects.');

const paths = z.array(text(200)).max(10);
const eventStreamSpec = z
  .strictObject({
    clientRef: z
      .strictObject({ name: NAME.describe('Name of a StreamClient of the same namespace.') })
      .describe('The StreamClient whose OAuth client holds this stream.'),
    dialect: z.enum(DIALECTS as [Dialect, ...Dialect[]]).describe('What the endpoint speaks.'),
    path: text(200)
      .optional()
      .describe('genesys-streams: routing-streams, call-streams, presence-streams or interaction-streams.'),
    topics: z
      .array(text(200))
      .max(1000)
      .default([])
      .describe("Event types or subscriptions. Empty: the dialect's defaults."),
    priority: z.enum(['High', 'Normal', 'Low']).default('Normal').describe('Who dials first when the gate is narrow.'),
    heartbeat: z
      .strictObject({
        pingEvery: duration({ min: '10ms', max: '10m' }).optional().describe('Time between two pings.'),
        pongTimeout: duration({ min: '10ms', max: '10m' })
          .optional()
          .describe('A ping without an answer for so long: the connection is dead. Less than pingEvery.'),
        silence: duration({ min: '10ms', max: '1h' })
          .optional()
          .describe(
            'Silence for so long means that the connection is dead: no ping of the server (genesys-streams), ' +
              'no frame at all (the others). Left out, the limit of the dialect holds, and an earlier one is ' +
              'learned from the server: three times the longest of its last four ping intervals, at least 20s. ' +
              'A value switches the learning off.',
          ),
      })
      .prefault({})
      .describe('Overrides of the dialect. pingEvery between 5s and 45s unless every host is loopback.'),
    resume: z
      .strictObject({
        mode: z
          .enum(['Auto', 'Sequence', 'Since', 'Cursor', 'None'])
          .default('Auto')
          .describe('Auto: as the dialect says. None: never ask for a position.'),
        param: text(100).optional().describe('Query parameter that carries the position.'),
        contiguous: z
          .boolean()
          .default(true)
          .describe('false where a filter leaves out numbers of the sequence, so that missing ones mean nothing.'),
        reorderWindow: duration({ max: '1m' })
          .prefault('500ms')
          .describe('How long an early event waits for its predecessors.'),
        retention: duration({ max: '8760h' })
          .optional()
          .describe('How long the platform keeps events; default as the dialect says.'),
        snapshotPath: restPath
          .optional()
          .describe('REST path asked after a gap; its answer is delivered as a gap.filled event.'),
      })
      .prefault({})
      .describe('How a stream goes on where it was after a reconnection.'),
    fields: z
      .strictObject({
        position: paths.optional().describe('Resume position (sequence, cursor).'),
        id: paths.optional().describe('Unique id of the event.'),
        type: paths.optional().describe('Type of the event.'),
        time: paths.optional().describe('When the event happened.'),
        key: paths.optional().describe('What orders events among one another (a conversation, an agent).'),
      })
      .prefault({})
      .describe('Where members of an event are found: names or dotted paths, the first that is present wins.'),
    delivery: z
      .strictObject({
        mode: z
          .enum(['Push', 'Pull'])
          .default('Pull')
          .describe('Push: HTTP POST to the consumer. Pull: the consumer connects by WebSocket or SSE.'),
        push: z
          .strictObject({
            url: text(2000).describe('Where to POST. Loopback, unless allowRemote.'),
            contentMode: z
              .enum(['structured', 'binary', 'batch'])
              .default('structured')
              .describe('CloudEvents HTTP content mode; batch only for a consumer that asked for it.'),
            maxBatch: z.int().min(1).max(1000).default(100).describe('Events in one request of mode batch.'),
            concurrency: z.int().min(1).max(256).default(32).describe('Requests in flight, at most one per key.'),
            healthPath: restPath
              .optional()
              .describe('Path on the same host that must answer 2xx before anything is delivered.'),
            tokenFile: text(4096)
              .optional()
              .describe('File with a bearer token sent to the consumer. In a cluster, use tokenSecretRef.'),
            tokenSecretRef: z
              .strictObject({
                name: NAME.describe('Name of the Secret, in the namespace of the EventStream.'),
                key: fileName.default('token').describe('Key of the Secret that holds the token.'),
              })
              .optional()
              .describe(
                'Kubernetes Secret with a bearer token sent to the consumer. The attached sidecar mounts it; ' +
                  'in a file, use tokenFile.',
              ),
            allowRemote: z.boolean().default(false).describe('true: url may name another machine; https only.'),
          })
          .optional()
          .describe('Where and how to POST; needed with mode Push.'),
        order: z
          .enum(['key', 'stream'])
          .default('key')
          .describe('Push: one in flight per key, or one at a time for the whole stream.'),
        maxInFlight: z.int().min(1).max(10_000).default(256).describe('Events delivered and not yet acknowledged.'),
        maxUncheckpointed: z
          .int()
          .min(1)
          .max(10_000)
          .default(256)
          .describe('Acknowledged, not yet in a stored checkpoint.'),
        ackTimeout: duration({ min: '10ms', max: '1h' })
          .prefault('30s')
          .describe('An event without an acknowledgement for so long is delivered again.'),
        maxAttempts: z
          .int()
          .min(1)
          .max(1000)
          .default(10)
          .describe('Counted failures of one event before it becomes a dead letter.'),
        crashLimit: z
          .int()
          .min(1)
          .max(100)
          .default(3)
          .describe('Connections to the application lost under one event alone before it becomes a dead letter.'),
        retryBaseDelay: duration({ max: '10m' })
          .prefault('500ms')
          .describe('First delay before an event is delivered again.'),
        retryMaxDelay: duration({ max: '1h' }).prefault('30s').describe('Cap of that delay.'),
        maxBufferedBytes: byteSize({ min: 65_536, max: 1024 ** 3 })
          .prefault('8Mi')
          .describe('Above it the stream is parked: closed politely, resumed later.'),
        control: z
          .enum(['all', 'gaps'])
          .default('all')
          .describe('gaps: only gap, resync and poison events are sent beside the data.'),
      })
      .prefault({})
      .describe('How events reach the consumer, and how long they wait for it.'),
    suspend: z.boolean().default(false).describe('true: hold this stream no longer; the others of its client go on.'),
  })
  .describe('One subscription of an OAuth client, and how its events reach the consumer.');

export const streamClient = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('StreamClient'),
  metadata,
  spec: streamClientSpec,
  status: z.unknown().optional(),
});
export const eventStream = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('EventStream'),
  metadata,
  spec: eventStreamSpec,
  status: z.unknown().optional(),
});

export type StreamClient = z.output<typeof streamClient>;
export type EventStream = z.output<typeof eventStream>;

import type { DialPolicy } from '../core/dialing/dial-queue.ts';
import type { ConsumerPolicy } from '../core/events/consumer-health.ts';
import type { CheckpointPolicy } from '../core/events/checkpoint-schedule.ts';
import type { LeasePolicy } from '../core/lease/lease.ts';
import type { OutboxPolicy } from '../core/events/outbox.ts';
import type { SessionPolicy } from '../core/session/session-model.ts';
import type { TokenPolicy } from '../core/token.ts';
import type { TrackerPolicy } from '../core/events/sequence-tracker.ts';
import { hostsOf, type Hosts } from '../platforms/dial-target.ts';
import { PROFILES } from '../platforms/index.ts';
import type { FieldPaths, PositionKind, Profile } from '../platforms/profile.ts';
import { domainOf } from './hosts.ts';
import { leaseName } from './lease-name.ts';
import {
  CHECKPOINT,
  CLOSE_TIMEOUT_MS,
  DEAD_LETTER_STORM,
  DIAL_TIMEOUT_MS,
  EMPTY_BATCH_LIMIT,
  IN_STREAM_REFRESH,
  LIFE_BOUNDS,
  LOOPBACK_FALL_BACK_BEFORE_EXPIRY_MS,
  LOOPBACK_LIFE_BOUNDS,
  PROCESS_BUFFER_BYTES,
  REORDER,
  RETRY_AFTER_MAX_MS,
  RETRY_SPREAD,
  STABLE_MS,
  TOKEN_BACKOFF,
  TOKEN_RETRY_INVALID_MS,
} from './limits.ts';
import type { Documents } from './load-documents.ts';
import { onlyLoopback } from './relations.ts';
import type { EventStream, StreamClient } from './schema.ts';

/** One OAuth client with everything its streams share. Frozen policies; durations in ms. */
export interface ClientPlan {
  readonly name: string;
  readonly platform: string;
  readonly region: string;
  /** As configured; else the OAuth client id. */
  readonly tenantId: string;
  readonly tenantStated: boolean;
  readonly suspend: boolean;
  readonly hosts: Hosts;
  readonly credentials: StreamClient['spec']['credentials'];
  readonly tokenEndpoint: Profile['token'];
  readonly tokenPolicy: TokenPolicy;
  readonly validatePath: string;
  readonly lifeBounds: { readonly minMs: number; readonly maxMs: number };
  readonly dialing: DialPolicy;
  /** Name of the client's lease, and of all its records in the store; see leaseName. */
  readonly lease: string;
  readonly leasePolicy: LeasePolicy;
  readonly maintenance: StreamClient['spec']['maintenance'];
  readonly loopback: boolean;
  /** Private networks that names may resolve into. */
  readonly allowPrivate: readonly string[];
  readonly streams: readonly StreamPlan[];
}

/** One subscription, with the policies of its machines. */
export interface StreamPlan {
  readonly name: string;
  readonly client: string;
  /** As of the client. */
  readonly lease: string;
  readonly profile: Profile;
  readonly fields: FieldPaths;
  readonly hosts: Hosts;
  readonly path: string | undefined;
  readonly topics: readonly string[];
  readonly priority: 0 | 1 | 2;
  readonly suspend: boolean;
  readonly session: SessionPolicy;
  readonly tracker: TrackerPolicy;
  readonly outbox: OutboxPolicy;
  readonly consumer: ConsumerPolicy;
  readonly checkpoint: CheckpointPolicy;
  readonly delivery: EventStream['spec']['delivery'];
  readonly retentionMs: number | undefined;
  readonly snapshotPath: string | undefined;
  readonly loopback: boolean;
  /** As of the client. */
  readonly allowPrivate: readonly string[];
  /** CloudEvents source: /holdfast/{platform}/{region}/{client}/{stream}. */
  readonly source: string;
}

const PRIORITIES = { High: 0, Normal: 1, Low: 2 } as const;
/** What a stored checkpoint keeps from being repeated, by class (core/events/delivery-window.ts). */
const COVER = { A: 'ahead', B: 'prefix', C: 'nothing' } as const;

/** Combines documents and profiles into plans. The documents must have passed `loadDocuments`. */
export function resolve(documents: Documents): readonly ClientPlan[] {
  const shareBytes = Math.floor(PROCESS_BUFFER_BYTES / Math.max(1, documents.streams.length));
  return documents.clients.map((client) => {
    const { platform, region } = client.spec;
    const mine = documents.streams.filter((stream) => stream.spec.clientRef.name === client.metadata.name);
    const first = mine[0] === undefined ? defaultProfile(client) : PROFILES[mine[0].spec.dialect];
    const loopback = onlyLoopback(client.spec);
    const hosts = hostsFor(first, client);
    // Until the credentials are read the StreamClient's own name stands for the OAuth client.
    const lease = leaseName({ platform, region, hosts }, client.metadata.name);
    const { allowPrivate } = documents.installation;
    const streams = mine.map((stream) => ({
      ...resolveStream(client, stream, { loopback, shareBytes, lease }),
      allowPrivate,
    }));
    return {
      name: client.metadata.name,
      platform,
      region,
      tenantId: client.spec.tenantId ?? client.metadata.name,
      tenantStated: client.spec.tenantId !== undefined,
      suspend: client.spec.suspend,
      hosts,
      credentials: client.spec.credentials,
      tokenEndpoint: first.token,
      tokenPolicy: tokenPolicy(client, first, loopback),
      validatePath: client.spec.token.validatePath ?? first.token.validatePath,
      lifeBounds: loopback ? LOOPBACK_LIFE_BOUNDS : LIFE_BOUNDS,
      dialing: dialPolicy(client),
      lease,
      leasePolicy: {
        ttlMs: client.spec.lease.ttl,
        renewEveryMs: client.spec.lease.renewEvery,
        marginMs: client.spec.lease.margin,
      },
      maintenance: client.spec.maintenance,
      loopback,
      allowPrivate,
      streams,
    };
  });
}

function defaultProfile(client: StreamClient): Profile {
  return PROFILES[client.spec.platform === 'GenesysCloud' ? 'genesys-streams' : 'cxone-events'];
}

function hostsFor(profile: Profile, client: StreamClient): Hosts {
  const { login, api, streaming } = client.spec.hosts;
  const overrides = {
    ...(login === undefined ? {} : { login }),
    ...(api === undefined ? {} : { api }),
    ...(streaming === undefined ? {} : { streaming }),
  };
  return hostsOf(profile, { name: client.spec.region, domain: domainOf(client.spec) ?? client.spec.region }, overrides);
}

function tokenPolicy(client: StreamClient, profile: Profile, loopback: boolean): TokenPolicy {
  const { token, reconnect } = client.spec;
  return {
    rotateAtPercent: token.rotateAtPercent,
    leadMs: token.leadTime,
    minRemainingAtDialMs: token.minRemainingAtDial,
    minRemainingAtRedialMs: token.minRemainingAtRedial,
    validate: token.validate ?? profile.token.validateByDefault,
    retryInvalidMs: loopback ? Math.min(TOKEN_RETRY_INVALID_MS, reconnect.maxDelay) : TOKEN_RETRY_INVALID_MS,
    minIntervalMs: loopback ? Math.min(token.minInterval, reconnect.baseDelay) : token.minInterval,
    backoff: {
      ...TOKEN_BACKOFF,
      ...(loopback ? { baseMs: reconnect.baseDelay, maxMs: reconnect.maxDelay } : {}),
    },
  };
}

function dialPolicy(client: StreamClient): DialPolicy {
  const { gate, circuitBreaker, pool } = client.spec;
  return {
    gate: { capacity: gate.capacity, refillEveryMs: gate.refillEvery, concurrent: gate.concurrent },
    breaker: {
      failureRatePercent: circuitBreaker.failureRatePercent,
      windowMs: circuitBreaker.window,
      minSamples: circuitBreaker.minSamples,
      openMs: circuitBreaker.open,
    },
    maxStreams: pool.maxStreams,
  };
}

function resolveStream(
  client: StreamClient,
  stream: EventStream,
  { loopback, shareBytes, lease }: { readonly loopback: boolean; readonly shareBytes: number; readonly lease: string },
): Omit<StreamPlan, 'allowPrivate'> {
  const { spec } = stream;
  const profile = withResume(PROFILES[spec.dialect], spec);
  const { fields } = spec;
  const path = spec.path ?? '';
  return {
    name: stream.metadata.name,
    client: client.metadata.name,
    lease,
    profile,
    fields: {
      position: fields.position ?? profile.fields.position,
      id: fields.id ?? profile.fields.id,
      type: fields.type ?? profile.fields.type,
      time: fields.time ?? profile.fields.time,
      key: fields.key ?? profile.fields.key,
    },
    hosts: hostsFor(profile, client),
    path: spec.path,
    topics: spec.topics,
    priority: PRIORITIES[spec.priority],
    suspend: spec.suspend || client.spec.suspend,
    session: sessionPolicy(client, spec, profile, loopback),
    tracker: {
      reorderMs: spec.resume.reorderWindow,
      reorderLimit: REORDER.events,
      reorderBytes: REORDER.bytes,
      contiguous: spec.resume.contiguous,
    },
    outbox: outboxPolicy(spec.delivery, profile, shareBytes),
    consumer: consumerPolicy(spec.delivery),
    checkpoint: CHECKPOINT,
    delivery: spec.delivery,
    retentionMs: spec.resume.retention ?? profile.retentionMs[path] ?? profile.retentionMs[''],
    snapshotPath: spec.resume.snapshotPath,
    loopback,
    source:
      `/holdfast/${client.spec.platform}/${encodeURIComponent(client.spec.region)}/` +
      `${client.metadata.name}/${stream.metadata.name}`,
  };
}

type DeliverySpec = EventStream['spec']['delivery'];

function outboxPolicy(delivery: DeliverySpec, profile: Profile, shareBytes: number): OutboxPolicy {
  return {
    maxInFlight: delivery.maxInFlight,
    maxUncheckpointed: delivery.maxUncheckpointed,
    maxBufferedBytes: Math.min(delivery.maxBufferedBytes, shareBytes),
    ackTimeoutMs: delivery.ackTimeout,
    cover: COVER[profile.streamClass],
  };
}

function consumerPolicy(delivery: DeliverySpec): ConsumerPolicy {
  return {
    maxAttempts: delivery.maxAttempts,
    crashLimit: delivery.crashLimit,
    backoff: { baseMs: delivery.retryBaseDelay, maxMs: delivery.retryMaxDelay, ...RETRY_SPREAD },
    retryAfterMaxMs: RETRY_AFTER_MAX_MS,
    storm: DEAD_LETTER_STORM,
  };
}

/** Returns the profile with a configured resume, which turns class C into A or B; `None` turns every class into C. */
function withResume(profile: Profile, spec: EventStream['spec']): Profile {
  const { mode, param } = spec.resume;
  if (mode === 'None') return { ...profile, streamClass: 'C', resume: { via: 'none', kind: undefined, param: '' } };
  const asked: PositionKind | undefined = {
    Auto: undefined,
    Sequence: 'sequence' as const,
    Since: 'since' as const,
    Cursor: 'cursor' as const,
  }[mode];
  if (asked === undefined || profile.resume.kind !== undefined)
    return param === undefined ? profile : { ...profile, resume: { ...profile.resume, param } };
  return {
    ...profile,
    streamClass: asked === 'sequence' ? 'A' : 'B',
    resume: { via: 'query', kind: asked, param: param ?? asked },
  };
}

function sessionPolicy(
  client: StreamClient,
  spec: EventStream['spec'],
  profile: Profile,
  loopback: boolean,
): SessionPolicy {
  const { reconnect } = client.spec;
  const jitter = { multiplier: reconnect.multiplier, jitterLow: reconnect.jitterLow, jitterHigh: reconnect.jitterHigh };
  return {
    dialTimeoutMs: DIAL_TIMEOUT_MS,
    closeTimeoutMs: CLOSE_TIMEOUT_MS,
    clientFrames: profile.clientFrames,
    hello:
      profile.hello === undefined
        ? undefined
        : { ackTimeoutMs: profile.hello.ackTimeoutMs, reconnectOnly: profile.hello.reconnectOnly },
    liveness: livenessPolicy(spec.heartbeat, profile.liveness),
    backoff: { baseMs: reconnect.baseDelay, maxMs: reconnect.maxDelay, ...jitter },
    extendedBackoff: { baseMs: reconnect.extendedBaseDelay, maxMs: reconnect.extendedMaxDelay, ...jitter },
    maxAttempts: reconnect.maxAttempts,
    maxWindowMs: reconnect.maxWindow,
    onExhausted: reconnect.onExhausted,
    stableMs: STABLE_MS,
    rotation: profile.rotation,
    inStream: {
      ...IN_STREAM_REFRESH,
      ...(loopback
        ? {
            retryMs: Math.min(IN_STREAM_REFRESH.retryMs, reconnect.maxDelay),
            fallBackBeforeExpiryMs: LOOPBACK_FALL_BACK_BEFORE_EXPIRY_MS,
          }
        : {}),
    },
    overlapMs: profile.overlapMs,
    emptyBatchLimit: EMPTY_BATCH_LIMIT,
    closeDeadWith1001: profile.closeDeadWith1001,
    tables: profile.tables,
  };
}

/**
 * Returns the policy of liveness. A document changes the profile's pings, but adds none; it may add a watchdog. Without
 * a stated silence the watchdog learns.
 */
function livenessPolicy(
  { pingEvery, pongTimeout, silence }: EventStream['spec']['heartbeat'],
  { ping, watchdog: ofProfile, latency }: Profile['liveness'],
): SessionPolicy['liveness'] {
  const watchdog = ofProfile ?? (silence === undefined ? undefined : { of: 'any' as const, silenceMs: silence });
  return {
    ...(ping === undefined
      ? {}
      : {
          ping: {
            everyMs: pingEvery ?? ping.everyMs,
            timeoutMs: pongTimeout ?? ping.timeoutMs,
            maxMissed: ping.maxMissed,
          },
        }),
    ...(watchdog === undefined
      ? {}
      : { watchdog: { of: watchdog.of, silenceMs: silence ?? watchdog.silenceMs, learns: silence === undefined } }),
    latency,
  };
}

/**
 * Returns the plan with its lease named after the OAuth client: two installations that use the same one exclude each
 * other, because the platform counts them as one.
 */
export function withOAuthClient(plan: ClientPlan, clientId: string): ClientPlan {
  const lease = leaseName(plan, clientId);
  return {
    ...plan,
    lease,
    tenantId: plan.tenantStated ? plan.tenantId : clientId,
    streams: plan.streams.map((stream) => ({ ...stream, lease })),
  };
}

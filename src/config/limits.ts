import type { BackoffPolicy } from '../core/dialing/backoff.ts';
import type { CheckpointPolicy } from '../core/events/checkpoint-schedule.ts';
import type { ConsumerPolicy } from '../core/events/consumer-health.ts';
import type { Millis } from '../core/units.ts';

/*
 * Fixed policies that a plan carries, or that several modules share. What a user sets stands in schema.ts; a number of
 * one mechanism stands at the top of the file that enforces it. docs/limits.md lists them all.
 */

/** Streams that one process accepts. */
export const MAX_STREAMS = 200;
/** Bytes that all streams of one process may buffer together; each has its equal share of it at most. */
export const PROCESS_BUFFER_BYTES = 64 * 1024 * 1024;

/** Aliases that a YAML document may expand to: a small file must not become a large one. */
export const MAX_YAML_ALIASES = 100;

/** Believes a token's stated life within these bounds toward real platforms (reliability A2). */
export const LIFE_BOUNDS = { minMs: 60_000, maxMs: 86_400_000 };
/** Believes the life of a loopback platform's token within these bounds: tests and the demo use tokens of seconds. */
export const LOOPBACK_LIFE_BOUNDS = { minMs: 500, maxMs: LIFE_BOUNDS.maxMs };
/** Keeps the old token for this long after a new one was not valid, then asks for another (S4). */
export const TOKEN_RETRY_INVALID_MS: Millis = 30_000;
/** Spaces token requests that failed; toward loopback `reconnect` gives the first and the longest delay. */
export const TOKEN_BACKOFF: BackoffPolicy = {
  baseMs: 5000,
  multiplier: 2,
  maxMs: 300_000,
  jitterLow: 0.5,
  jitterHigh: 1.5,
};

/** Gives up a connection attempt that has no open socket after this time. */
export const DIAL_TIMEOUT_MS: Millis = 10_000;
/** Waits this long for the platform's answer to a close, then terminates the socket. */
export const CLOSE_TIMEOUT_MS: Millis = 1000;
/** Counts a stream without events as recovered after this long with a living link. */
export const STABLE_MS: Millis = 60_000;
/**
 * Changes the token inside an open stream: how long its acknowledgement may take, when the next try comes, and how
 * long before the old token ends a second link takes over instead.
 */
export const IN_STREAM_REFRESH = { ackTimeoutMs: 5000, retryMs: 30_000, fallBackBeforeExpiryMs: 10_000 };
/** As `fallBackBeforeExpiryMs` of IN_STREAM_REFRESH, for tokens of seconds from a loopback platform. */
export const LOOPBACK_FALL_BACK_BEFORE_EXPIRY_MS: Millis = 500;
/** Distrusts the token, and closes the link, after this many batches in a row that carried no event. */
export const EMPTY_BATCH_LIMIT = 3;

/** Bounds the events of a stream that wait for missing predecessors; at either bound the wait is over. */
export const REORDER = { events: 256, bytes: 4 * 1024 * 1024 };

/**
 * Writes checkpoints at most every `everyMs`, large ones every `everyLargeMs`; at once when `urgentAfter` settled
 * entries wait for a small one; after a failure of the store as `backoff` says.
 */
export const CHECKPOINT: CheckpointPolicy = {
  everyMs: 100,
  everyLargeMs: 1000,
  urgentAfter: 128,
  backoff: { baseMs: 200, multiplier: 2, maxMs: 5000, jitterLow: 0.5, jitterHigh: 1.5 },
};
/** Spreads the retries of a refused event; `delivery.retryBaseDelay` and `retryMaxDelay` give the delays. */
export const RETRY_SPREAD = { multiplier: 2, jitterLow: 0.5, jitterHigh: 1 };
/** Honours a Retry-After of the platform or of the consumer up to this. */
export const RETRY_AFTER_MAX_MS: Millis = 900_000;
/**
 * Holds the stream after so many dead letters in a row, or at this share of a window's outcomes once there are enough
 * of them: a bad deploy must not drain the stream into the dead letters.
 */
export const DEAD_LETTER_STORM: ConsumerPolicy['storm'] = {
  consecutive: 5,
  sharePercent: 50,
  minSamples: 10,
  windowMs: 60_000,
};

/**
 * Rules the registry of connections (S4): a hash that no replica renews lives 120 s; a connection without a sign of
 * life for 35 s is dead; the reaper comes every 10 s.
 */
export const REGISTRY = { lifeMs: 120_000, deadAfterMs: 35_000, sweepEveryMs: 10_000 };
/** Takes a replica's report that is older than this as a sign that the replica is gone: three reports were missed. */
export const REPORT_FRESH_MS: Millis = 5000;
/** Stands for the ttl of a lease where a Redis connection holds none: the command timeout follows from it. */
export const LEASELESS_TTL_MS: Millis = 6000;

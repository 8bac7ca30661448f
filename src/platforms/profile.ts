/**
 * What each vendor endpoint does, as data: one frozen profile per file, and the code that reads and writes the
 * endpoints' bytes by them (frame reader, JSON scanner, dial target, client frames). This folder never opens a
 * connection and keeps no state beyond one stream's scan. Sockets and tokens are upstream's, policies made of a profile
 * are config's (plan.ts).
 */

import type { DispositionTables } from '../core/session/classify-failure.ts';
import type { LivenessPolicy } from '../core/session/liveness.ts';
import type { Control } from '../core/session/session-model.ts';
import type { Millis } from '../core/units.ts';

export type PlatformName = 'GenesysCloud' | 'NiceCXone';

export type Dialect =
  | 'genesys-streams'
  | 'genesys-architect'
  | 'genesys-analytics-events'
  | 'cxone-events'
  | 'genesys-gateway'
  | 'genesys-analytics-streaming'
  | 'cxone-realtime';

/** A resumes by contiguous sequence, B by cursor or time, C cannot replay. */
export type StreamClass = 'A' | 'B' | 'C';

export type PositionKind = 'sequence' | 'since' | 'cursor' | 'lastEventId';

/** A vendor resume value. Opaque outside platforms/, except that class A counts with it. */
export interface Position {
  readonly kind: PositionKind;
  readonly value: string;
}

/** Places of an event's members: names or dotted paths, the first that is present wins. */
export interface FieldPaths {
  readonly position: readonly string[];
  readonly id: readonly string[];
  readonly type: readonly string[];
  readonly time: readonly string[];
  readonly key: readonly string[];
}

/** Behaviour of one vendor endpoint. Frozen data; no other code asks which platform it talks to. */
export interface Profile {
  readonly dialect: Dialect;
  readonly platform: PlatformName;
  readonly streamClass: StreamClass;
  /** Path of the stream; `{path}` is replaced by EventStream.spec.path, which must then be one of `paths`. */
  readonly path: string;
  readonly paths: readonly string[];
  /** Default hosts; `{domain}` and `{region}` come from StreamClient.spec.region. */
  readonly hosts: { readonly login: string; readonly api: string; readonly streaming: string };
  readonly auth: { readonly placement: readonly ('query' | 'header')[]; readonly queryName: string };
  readonly subprotocols: readonly string[];
  readonly clientFrames: 'forbidden' | 'allowed';
  readonly hello:
    | {
        readonly form: 'architect' | 'gateway';
        readonly ackTimeoutMs: Millis | undefined;
        readonly reconnectOnly: boolean;
        readonly urlFlag: string | undefined;
      }
    | undefined;
  readonly resume: {
    readonly via: 'query' | 'frame' | 'none';
    readonly kind: PositionKind | undefined;
    readonly param: string;
  };
  /** Query parameter that filters event types, and its value when no topics are configured. */
  readonly topics: { readonly param: string | undefined; readonly defaults: readonly string[] };
  readonly liveness: LivenessPolicy;
  readonly closeDeadWith1001: boolean;
  readonly rotation: 'overlap' | 'in-stream';
  /** Way of a token into a running stream. */
  readonly inStream:
    { readonly form: 'token-refresh' | 'x-nice-auth'; readonly endpoint: string | undefined } | undefined;
  readonly token: {
    readonly path: string;
    readonly body: 'form' | 'json';
    readonly grant: 'client_credentials' | 'refresh_token';
    readonly fallbackLifeMs: Millis;
    readonly validatePath: string;
    readonly validateByDefault: boolean;
    readonly scopes: Readonly<Record<string, readonly string[]>>;
  };
  /** How long the platform keeps events, by path; `''` for all. undefined: unstated. */
  readonly retentionMs: Readonly<Record<string, Millis | undefined>>;
  readonly overlapMs: Millis;
  readonly tables: DispositionTables;
  /** Control messages by their `type`. */
  readonly controls: Readonly<Record<string, Control>>;
  readonly fields: FieldPaths;
  /** CloudEvents type prefix, reverse DNS. */
  readonly typePrefix: string;
}

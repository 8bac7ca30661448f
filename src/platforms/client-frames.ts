import type { EpochMillis } from '../core/units.ts';
import type { Position, Profile } from './profile.ts';

/** Facts a hello frame is made of. */
export interface HelloFacts {
  readonly clientId: string;
  readonly connectionId: string;
  readonly attempt: number;
  readonly reconnect: boolean;
  readonly subscriptions: readonly string[];
  readonly position: Position | undefined;
  readonly wallMs: EpochMillis;
}

/**
 * The subscribe or reconnect frame of a profile; undefined when it sends none now.
 * A frame that lacks a mandatory field is never sent (S1, S3): the result then names the field instead.
 */
export function helloFrame(
  profile: Profile,
  facts: HelloFacts,
): { readonly text: string } | { readonly missing: string } | undefined {
  if (profile.hello === undefined || (profile.hello.reconnectOnly && !facts.reconnect)) return undefined;
  if (profile.hello.form === 'gateway') {
    if (!/^[0-9a-f]{16}$/.test(facts.connectionId)) return { missing: 'connectionId' };
    return {
      text: JSON.stringify({
        type: 'reconnect',
        connectionId: facts.connectionId,
        attempt: facts.attempt,
        timestamp: facts.wallMs,
      }),
    };
  }
  if (facts.clientId === '') return { missing: 'clientId' };
  if (facts.subscriptions.length === 0) return { missing: 'subscriptions' };
  if (!facts.reconnect)
    return {
      text: JSON.stringify({ type: 'subscribe', subscriptions: facts.subscriptions, clientId: facts.clientId }),
    };
  // A sequence may exceed 2^53, so its digits are placed as they are. Without one the server's context cannot be
  // continued.
  const resume = facts.position === undefined ? '' : `"lastSequence":${facts.position.value},`;
  const rest = JSON.stringify({
    subscriptions: facts.subscriptions,
    stateDirective: facts.position === undefined ? 'reset' : 'preserve',
    timestamp: facts.wallMs,
  }).slice(1);
  return { text: `{"type":"reconnect","clientId":${JSON.stringify(facts.clientId)},${resume}${rest}` };
}

/** The frame that gives a running stream its new token. */
export function refreshFrame(profile: Profile, token: string): string | undefined {
  if (profile.inStream === undefined) return undefined;
  return profile.inStream.form === 'token-refresh'
    ? JSON.stringify({ type: 'token-refresh', token })
    : JSON.stringify({ type: 'auth', headers: { 'X-NICE-AUTH': `Bearer ${token}` } });
}

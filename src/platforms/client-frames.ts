import type { EpochMillis } from '../core/units.ts';
import type { Position, Profile } from './profile.ts';

/** Facts that a hello frame is made of. */
export interface HelloFacts {
  readonly clientId: string;
  readonly connectionId: string;
  readonly attempt: number;
  readonly reconnect: boolean;
  readonly subscriptions: readonly string[];
  readonly position: Position | undefined;
  readonly wallMs: EpochMillis;
}

/** A frame to send, or the mandatory field that it lacks. */
type HelloFrame = { readonly text: string } | { readonly missing: string };

/**
 * Returns the subscribe or reconnect frame of a profile; undefined when it sends none now.
 * A frame that lacks a mandatory field is never sent (S1, S3): the result then names the field instead.
 */
export function helloFrame(profile: Profile, facts: HelloFacts): HelloFrame | undefined {
  if (profile.hello === undefined || (profile.hello.reconnectOnly && !facts.reconnect)) return undefined;
  if (profile.hello.form === 'gateway') return gatewayFrame(facts);
  if (facts.clientId === '') return { missing: 'clientId' };
  if (facts.subscriptions.length === 0) return { missing: 'subscriptions' };
  return { text: facts.reconnect ? architectReconnect(facts) : architectSubscribe(facts) };
}

function gatewayFrame({ connectionId, attempt, wallMs }: HelloFacts): HelloFrame {
  if (!/^[0-9a-f]{16}$/.test(connectionId)) return { missing: 'connectionId' };
  return { text: JSON.stringify({ type: 'reconnect', connectionId, attempt, timestamp: wallMs }) };
}

function architectSubscribe({ subscriptions, clientId }: HelloFacts): string {
  return JSON.stringify({ type: 'subscribe', subscriptions, clientId });
}

/**
 * Returns Architect's reconnect frame. A sequence may exceed 2^53, so its digits are placed as they are. Without one
 * the server's context cannot be continued.
 */
function architectReconnect({ clientId, subscriptions, position, wallMs }: HelloFacts): string {
  const resume = position === undefined ? '' : `"lastSequence":${position.value},`;
  const rest = JSON.stringify({
    subscriptions,
    stateDirective: position === undefined ? 'reset' : 'preserve',
    timestamp: wallMs,
  }).slice(1);
  return `{"type":"reconnect","clientId":${JSON.stringify(clientId)},${resume}${rest}`;
}

/** Returns the frame that gives a running stream its new token. */
export function refreshFrame(profile: Profile, token: string): string | undefined {
  if (profile.inStream === undefined) return undefined;
  return profile.inStream.form === 'token-refresh'
    ? JSON.stringify({ type: 'token-refresh', token })
    : JSON.stringify({ type: 'auth', headers: { 'X-NICE-AUTH': `Bearer ${token}` } });
}

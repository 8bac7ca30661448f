import type { StreamPlan } from '../../config/plan.ts';
import { helloFrame, type HelloFacts } from '../../platforms/client-frames.ts';
import type { Deps } from '../runtime/environment.ts';

/**
 * Returns the subscribe or reconnect frame of a stream, where its dialect sends one now. A frame that lacks a mandatory
 * field is logged and not sent.
 */
export function helloText(
  plan: StreamPlan,
  deps: Deps,
  facts: Pick<HelloFacts, 'attempt' | 'reconnect' | 'position' | 'connectionId'>,
): string | undefined {
  const subscriptions = plan.topics.length > 0 ? plan.topics : plan.profile.topics.defaults;
  const frame = helloFrame(plan.profile, { ...facts, clientId: plan.client, subscriptions, wallMs: deps.nowEpochMs() });
  if (frame === undefined || 'text' in frame) return frame?.text;
  deps.log.error({ stream: plan.name, missing: frame.missing }, 'a frame lacks a mandatory field and was not sent');
  return undefined;
}

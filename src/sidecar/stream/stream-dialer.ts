import type { StreamPlan } from '../../config/plan.ts';
import type { SessionEffect, TokenRef } from '../../core/session/session-model.ts';
import { refreshFrame } from '../../platforms/client-frames.ts';
import { dialTarget, type DialTarget } from '../../platforms/dial-target.ts';
import type { Position } from '../../platforms/profile.ts';
import type { SocketHandlers } from '../../upstream/stream-socket.ts';
import type { ClientPort } from '../client/client-port.ts';
import type { Deps } from '../runtime/environment.ts';
import { helloText } from './hello-text.ts';
import type { Intake } from './intake.ts';
import { oldestOffered } from './positions.ts';
import type { StreamSockets } from './stream-sockets.ts';

type Effect<K extends SessionEffect['kind']> = Extract<SessionEffect, { kind: K }>;

interface DialerStage {
  readonly client: ClientPort;
  readonly intake: Intake;
  readonly sockets: StreamSockets;
}

/** Opens a stream's links: chooses address, token and position, and sends the first frames. */
export class StreamDialer {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #client: ClientPort;
  readonly #intake: Intake;
  readonly #sockets: StreamSockets;
  /** The oldest position that the platform offered when it refused ours. */
  #oldest: string | undefined;
  #asked = false;

  constructor(plan: StreamPlan, deps: Deps, stage: DialerStage) {
    this.#plan = plan;
    this.#deps = deps;
    this.#client = stage.client;
    this.#intake = stage.intake;
    this.#sockets = stage.sockets;
  }

  /** True when the last dial named a position. */
  get asked(): boolean {
    return this.#asked;
  }

  dial(effect: Effect<'dial'>, connectionId: string, handlers: SocketHandlers): void {
    const overlap = effect.purpose === 'rotate' || effect.purpose === 'maintenance';
    const position = this.#positionFor(effect.oldest, overlap);
    this.#asked = position !== undefined;
    this.#sockets.dial(effect.gen, connectionId, () => this.#targetOf(effect, position), handlers);
  }

  /** Sends the frames that a dialect expects first on a new link. @param expired the platform refused our position. */
  hello({ gen, attempt, reconnect }: Effect<'hello'>, expired: boolean): void {
    const position = this.#positionFor(expired, true);
    const connectionId = this.#sockets.idOf(gen);
    const text = helloText(this.#plan, this.#deps, { attempt, reconnect, position, connectionId });
    if (text !== undefined) this.#sockets.of(gen)?.send(text);
  }

  /** Sends the new token to the platform on an open link. */
  refresh(gen: number, token: TokenRef): void {
    const text = this.#client.tokenText(token.id);
    const frame = text === undefined ? undefined : refreshFrame(this.#plan.profile, text);
    if (frame !== undefined) this.#sockets.of(gen)?.send(frame);
  }

  /** Notes that a link opened: positions offered before are of no use any more. */
  opened(): void {
    this.#oldest = undefined;
  }

  /**
   * Notes that a link ended. @param expired the position that it asked for was the oldest on offer and was refused all
   * the same: the next dial asks for none. @param oldest position that the platform offered instead of ours.
   */
  ended(expired: boolean, oldest: string | undefined): void {
    this.#oldest = expired ? undefined : (oldest ?? this.#oldest);
  }

  /** @param oldest ours was refused: ask for the oldest on offer. @param overlap the old link stays open. */
  #positionFor(oldest: boolean, overlap: boolean): Position | undefined {
    return oldest ? oldestOffered(this.#plan.profile.resume.kind, this.#oldest) : this.#intake.resume.asked(overlap);
  }

  #targetOf({ token, reconnect }: Effect<'dial'>, position: Position | undefined): DialTarget {
    // A token can be retired between the grant and the dial; an empty one is refused by the platform like any other bad
    // token.
    const text = this.#client.tokenText(token.id) ?? '';
    const { hosts, path, topics } = this.#plan;
    return dialTarget(this.#plan.profile, { hosts, path, topics, token: text, position, reconnect });
  }
}

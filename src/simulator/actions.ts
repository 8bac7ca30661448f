import type { Faults } from './faults.ts';
import { faithful } from './faults.ts';
import type { SimConnection } from './sim-connection.ts';
import type { Journal } from './journal.ts';
import type { TokenOffice } from './token-office.ts';

/** The commands of the control API and of scenario files. docs/simulator.md */
export type Action =
  | { readonly do: 'set'; readonly faults: Partial<Faults> }
  | { readonly do: 'reset' }
  | { readonly do: 'rate'; readonly perSecond: number }
  | { readonly do: 'generate'; readonly count: number; readonly path?: string }
  | { readonly do: 'drop'; readonly how?: 'reset' | 'fin' }
  | { readonly do: 'close'; readonly code: number; readonly reason?: string }
  | { readonly do: 'close-raw'; readonly code: number }
  | { readonly do: 'freeze' }
  | { readonly do: 'thaw' }
  | { readonly do: 'resend'; readonly count: number }
  | { readonly do: 'jump'; readonly count: number }
  | { readonly do: 'restart-sequence' }
  | { readonly do: 'purge'; readonly keep: number }
  | { readonly do: 'revoke-tokens' }
  | { readonly do: 'forget-refresh-tokens' }
  | { readonly do: 'token-life'; readonly ms: number }
  | { readonly do: 'single-use-refresh' }
  | { readonly do: 'lock-out'; readonly ms: number }
  | { readonly do: 'send'; readonly text: string }
  | { readonly do: 'send-binary'; readonly base64: string }
  | { readonly do: 'empty-batches'; readonly count: number }
  | { readonly do: 'closing-soon'; readonly inMs: number };

/** The parts of the simulator that commands act on. */
export interface Stage {
  readonly faults: Faults;
  readonly office: TokenOffice;
  readonly journals: readonly Journal[];
  readonly connections: readonly SimConnection[];
  rate: number;
  generate(count: number, path?: string): void;
  lockOut(ms: number): void;
}

/** Carries one command out. @throws Error for an unknown one. */
export function perform(sim: Stage, action: Action): void {
  switch (action.do) {
    case 'set':
      Object.assign(sim.faults, action.faults);
      return;
    case 'reset':
      Object.assign(sim.faults, faithful());
      return;
    case 'rate':
      sim.rate = action.perSecond;
      return;
    case 'generate':
      return sim.generate(action.count, action.path);
    case 'jump':
      for (const journal of sim.journals) journal.jump(action.count);
      return;
    case 'restart-sequence':
      for (const journal of sim.journals) journal.restart();
      return;
    case 'purge':
      for (const journal of sim.journals) journal.purge(action.keep);
      return;
    case 'revoke-tokens':
      return sim.office.revokeAll();
    case 'forget-refresh-tokens':
      return sim.office.forgetRefreshTokens();
    case 'token-life':
      sim.office.lifeMs = action.ms;
      return;
    case 'single-use-refresh':
      sim.office.singleUseRefresh = true;
      return;
    case 'lock-out':
      return sim.lockOut(action.ms);
    default:
      return onConnections(sim, action);
  }
}

type OnConnections = Extract<
  Action,
  {
    do:
      | 'drop'
      | 'close'
      | 'close-raw'
      | 'freeze'
      | 'thaw'
      | 'resend'
      | 'send'
      | 'send-binary'
      | 'empty-batches'
      | 'closing-soon';
  }
>;

function onConnections(sim: Stage, action: OnConnections): void {
  const each = (act: (one: SimConnection) => void): void => {
    sim.connections.forEach(act);
  };
  switch (action.do) {
    case 'drop':
      return each((one) => one.drop(action.how ?? 'reset'));
    case 'close':
      return each((one) => one.close(action.code, action.reason ?? ''));
    case 'close-raw':
      return each((one) => one.closeRaw(action.code));
    case 'freeze':
      sim.faults.halfOpen = true;
      return each((one) => one.freeze());
    case 'thaw':
      sim.faults.halfOpen = false;
      return;
    case 'resend':
      return each((one) => one.resend(one.journal.events.slice(-action.count)));
    case 'send':
      return each((one) => one.raw(action.text));
    case 'send-binary':
      return each((one) => one.rawBinary(Buffer.from(action.base64, 'base64')));
    case 'empty-batches':
      return each((one) => sendEmpty(one, action.count));
    case 'closing-soon':
      return each((one) => closeSoon(one, action.inMs));
    default:
      throw new Error(`unknown action: ${JSON.stringify(action)}`);
  }
}

function sendEmpty(connection: SimConnection, count: number): void {
  for (let n = 0; n < count; n += 1) connection.raw('[]');
}

function closeSoon(connection: SimConnection, inMs: number): void {
  connection.raw(JSON.stringify({ type: 'v2.system.socket_closing', message: 'maintenance' }));
  setTimeout(() => {
    connection.close(1001, 'maintenance');
  }, inMs).unref();
}

import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SIM_CLIENT } from '../../../src/simulator/token-office.ts';
import { until } from '../../support/until.ts';
import type { Rig } from '../rig.ts';
import { during, kill, LATE, pause, platform, type Scenario } from '../row.ts';

function secretFile(rig: Rig, write: (file: string) => void): void {
  for (const { directory } of rig.fleet.replicas) write(join(directory, 'clientSecret'));
}

/** The token endpoint, tokens and the file of the secret. */
export const TOKEN_ROWS: readonly Scenario[] = [
  {
    id: 'A1',
    say:
      'the token endpoint is down from before a token is due until shortly before its end: the stream is kept ' +
      'on the old one',
    async run(rig) {
      const { sim } = rig.fleet;
      const ended = (): number => sim.history.of('conn.end').length;
      const issued = (): number => sim.history.of('tok.ok').length;
      const refused = (): number => sim.history.of('tok.rej').length;
      sim.do({ do: 'token-life', ms: 20_000 });
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(500);
      const before = { ended: ended(), issued: issued(), refused: refused() };
      await during(
        rig,
        { kind: 'token', target: 'platform', forMs: 17_000 },
        () => {
          sim.do({ do: 'set', faults: { token: { status: 503, times: Infinity } } });
        },
        () => {
          sim.do({ do: 'set', faults: { token: undefined } });
        },
      );
      if (refused() === before.refused) throw new Error('no token was asked for');
      if (ended() !== before.ended) throw new Error('a connection ended although its token was good');
      await until('there is a new token', () => issued() > before.issued, 6000);
      await rig.flows(3000);
    },
  },
  {
    id: 'A1b',
    say: 'the token endpoint is down for longer than a token lives',
    facts: LATE,
    async run(rig) {
      const { sim } = rig.fleet;
      sim.do({ do: 'token-life', ms: 8000 });
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(500);
      await during(
        rig,
        { kind: 'token', target: 'platform', forMs: 14_000 },
        () => {
          sim.do({ do: 'set', faults: { token: { status: 503, times: Infinity } } });
        },
        () => {
          sim.do({ do: 'set', faults: { token: undefined } });
          sim.do({ do: 'token-life', ms: 3_600_000 });
        },
      );
      await rig.flows(500, 60_000);
    },
  },
  {
    id: 'A2',
    say: 'the token endpoint says nonsense about the life of a token',
    async run(rig) {
      for (const expiresIn of [0, -1, 1e12, '3600', null]) {
        rig.fleet.sim.do({ do: 'set', faults: { expiresIn } });
        platform(rig, { do: 'revoke-tokens' });
        await rig.flows(200);
      }
      rig.fleet.sim.do({ do: 'set', faults: { expiresIn: undefined, omitExpiresIn: true } });
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(200);
    },
  },
  {
    id: 'A3',
    say: 'all tokens are revoked; and again as the connection is lost, so that the next dial is refused',
    async run(rig) {
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(500);
      platform(rig, { do: 'revoke-tokens' });
      platform(rig, { do: 'drop' });
      await rig.flows(500);
    },
  },
  {
    id: 'A3b',
    say: 'all tokens are revoked and the leader dies',
    async run(rig) {
      rig.fleet.sim.do({ do: 'revoke-tokens' });
      await kill(rig);
    },
  },
  {
    id: 'A4',
    say: 'the secret file is replaced while connected',
    async run(rig) {
      await during(
        rig,
        { kind: 'secret', target: 'all', forMs: 1500, more: { steady: true } },
        () => {
          secretFile(rig, (file) => {
            writeFileSync(`${file}.new`, `${SIM_CLIENT.clientSecret}\n`, { mode: 0o600 });
            renameSync(`${file}.new`, file);
          });
        },
        () => undefined,
      );
      platform(rig, { do: 'revoke-tokens' });
      await rig.flows(300);
    },
  },
  {
    id: 'A5',
    say: 'the secret file is empty for a while: the stream goes on, and the next token waits for it',
    async run(rig) {
      await during(
        rig,
        { kind: 'secret', target: 'all', forMs: 2000, more: { steady: true } },
        () => {
          secretFile(rig, (file) => {
            writeFileSync(file, '');
          });
        },
        () => undefined,
      );
      platform(rig, { do: 'revoke-tokens' });
      await pause(1000);
      secretFile(rig, (file) => {
        writeFileSync(file, SIM_CLIENT.clientSecret);
      });
      rig.nemesis.add('n.do', { what: 'the secret is back' });
      await rig.flows(300);
    },
  },
];

import type { Permit } from '../../../src/coordination/shared-limits.ts';
import { StoreTrouble } from '../../../src/sidecar/runtime/store-trouble.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadDocuments } from '../../../src/config/load-documents.ts';
import { resolve, type ClientPlan } from '../../../src/config/plan.ts';
import { CredentialTrial } from '../../../src/sidecar/client/credential-trial.ts';
import { StoreRefusals } from '../../../src/sidecar/runtime/store-refusals.ts';
import { Simulator } from '../../../src/simulator/simulator.ts';
import { SIM_CLIENT } from '../../../src/simulator/token-office.ts';
import { writeDocuments } from '../../support/documents.ts';
import { TestSidecar } from '../../support/sidecar.ts';

const EPOCH = 7;
const WRONG = { clientId: SIM_CLIENT.clientId, clientSecret: 'of-another-installation' };

// Found and mended: A5
describe('a candidate that is to prove its credentials', () => {
  let sim: Simulator;
  let simPort: number;
  let asked: [epoch: number, kind: string][];
  const ends: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    sim = new Simulator({ port: 0, rate: 0, size: 200, keys: 3, serverPingEveryMs: 200, historyLimit: 1000 });
    simPort = await sim.listen();
    asked = [];
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
    await sim.close();
  });

  /** @param permit what the shared gate answers; the client is not a loopback one to it. */
  function trial(
    credentials: Record<string, string>,
    permit: Permit = { kind: 'granted' },
  ): { readonly trial: CredentialTrial; readonly plan: ClientPlan } {
    const file = writeDocuments({ simPort, dialect: 'genesys-streams', credentials });
    const { deps, store } = new TestSidecar(file);
    ends.push(() => store.close());
    const [plan] = resolve(loadDocuments([file]));
    if (plan === undefined) throw new Error('the documents hold no client');
    const limits = {
      ...deps.limits,
      permit: (_lease: string, epoch: number, kind: string) => {
        asked.push([epoch, kind]);
        return Promise.resolve(permit);
      },
    };
    const all = { ...deps, limits, storeTrouble: new StoreTrouble(), refusals: new StoreRefusals(deps.log) };
    return { trial: new CredentialTrial({ ...plan, loopback: false }, all), plan };
  }
  const grants = (): readonly unknown[] => sim.history.of('tok.req').map((record) => record['grant']);

  it('asks once, through the shared gate, with its secret, never its refresh token; keeps the token', async () => {
    const one = trial({ ...SIM_CLIENT });
    expect(await one.trial.run(EPOCH)).to.equal(true);
    expect(await one.trial.run(EPOCH), 'a second offer').to.equal(true);
    expect(asked).to.deep.equal([[EPOCH, 'token']]);
    expect(grants()).to.deep.equal(['client_credentials']);
    expect(one.trial.take()?.accessToken).to.be.a('string');
    expect(one.trial.take(), 'taken').to.equal(undefined);
  });

  it('asks nobody where the gate says no, and does not count as refused', async () => {
    const one = trial({ ...SIM_CLIENT }, { kind: 'wait', ms: 4000, why: 'rate' });
    expect(await one.trial.run(EPOCH)).to.equal(false);
    expect(grants()).to.deep.equal([]);
    expect(one.trial.refused).to.equal(false);
  });

  it('asks nobody where it holds nothing but a refresh token', async () => {
    const one = trial({ clientId: SIM_CLIENT.clientId, refreshToken: SIM_CLIENT.refreshToken });
    expect(await one.trial.run(EPOCH)).to.equal(false);
    expect(grants()).to.deep.equal([]);
    expect(one.trial.refused).to.equal(false);
  });

  it('is refused until its files change', async () => {
    const one = trial(WRONG);
    expect(await one.trial.run(EPOCH)).to.equal(false);
    expect(one.trial.refused).to.equal(true);
    await one.trial.lookForChange();
    expect(one.trial.refused, 'the same files').to.equal(true);
    writeFileSync(join(one.plan.credentials.directory ?? '', 'clientSecret'), SIM_CLIENT.clientSecret);
    await one.trial.lookForChange();
    expect(one.trial.refused, 'other files').to.equal(false);
    expect(await one.trial.run(EPOCH)).to.equal(true);
  });
});

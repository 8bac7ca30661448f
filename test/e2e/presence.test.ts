import { expect } from 'chai';
import { Fleet, type Replica } from '../support/fleet.ts';
import { command } from '../support/process.ts';
import { until } from '../support/until.ts';

const TTL_MS = 2000;
/** Of a member's record, and the time in which a leader looks again. */
const NOTICED_MS = 1.5 * TTL_MS + 2000;

interface Shown {
  readonly members: readonly string[];
  readonly gone: readonly string[];
  readonly heir?: string;
}

const shownBy = async (replica: Replica): Promise<Shown> =>
  ((await replica.program.status())['clients'] as readonly [Shown])[0];
const isOf = (dead: Replica) => (id: string | undefined) => id?.includes(`/${dead.pod}/`) === true;

// Found and mended: B16
describe('a replica that was killed', function () {
  this.timeout(60_000);

  it('is shown as gone once its record is not renewed, and is nobody’s heir; the others stay', async () => {
    const fleet = await Fleet.start({
      replicas: 3,
      dialect: 'genesys-streams',
      lease: { ttl: `${String(TTL_MS)}ms`, renewEvery: '600ms', margin: '300ms' },
    });
    // First the leader, then a standby: what a leader knows of the others must not grow old.
    for (const which of ['leader', 'standby'] as const) {
      const leader = await fleet.leader();
      const dead = which === 'leader' ? leader : fleet.replicas.find((one) => one !== leader);
      if (dead === undefined) throw new Error('no such replica');
      await fleet.end(dead, 'SIGKILL');
      await until('another one leads', async () => (await fleet.leader()) !== undefined);
      const heir = await fleet.leader();
      if (heir === undefined) throw new Error('nobody leads');
      await until(
        `the dead ${which} is shown as gone`,
        async () => {
          const shown = await shownBy(heir);
          return shown.gone.some(isOf(dead)) && !shown.members.some(isOf(dead)) && !isOf(dead)(shown.heir);
        },
        NOTICED_MS,
      );
      expect((await shownBy(heir)).members).to.have.length(fleet.replicas.length);
      // A record at the very edge of its age may count as alive once more after the next look at the store.
      const gone = new RegExp(`acme +\\S+/${dead.pod} +gone`);
      const shows = async (): Promise<boolean> =>
        gone.test((await command(['status', '--admin-port', String(heir.program.admin)])).out);
      await until('the command shows it', shows, NOTICED_MS);
    }
    await fleet.stop();
  });
});

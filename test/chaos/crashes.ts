import type { Edit } from '../support/edits.ts';

/** A point at which a process that is armed dies at once. */
export interface Crash {
  readonly id: string;
  readonly say: string;
  readonly edits: readonly Edit[];
  /** Who is armed, and what makes it come by. */
  readonly by: 'leader' | 'standbys' | 'drain' | 'rotation' | 'reaper';
}

const CRASH = '(globalThis as unknown as { holdfastCrash: () => void }).holdfastCrash()';

function before(file: string, find: string): readonly Edit[] {
  return [{ file, find, replace: `${CRASH};\n${find}` }];
}

export const CRASHES: readonly Crash[] = [
  {
    id: 'crash-01',
    say: 'after the lock, before the claim',
    by: 'standbys',
    edits: before('src/coordination/redis/redis-leases.ts', '    let answer: string[];'),
  },
  {
    id: 'crash-02',
    say: 'after the epoch, before the first dial',
    by: 'standbys',
    edits: before('src/sidecar/leadership/election.ts', "    this.audit(entry, 'leader.changed',"),
  },
  {
    id: 'crash-03',
    say: 'after the connection opened, before the first event',
    by: 'standbys',
    edits: before('src/sidecar/stream/stream-connection.ts', '    this.#telemetry.ready(effect, this.state'),
  },
  {
    id: 'crash-04',
    say: 'after an event was received, before it is queued',
    by: 'leader',
    edits: before('src/sidecar/stream/intake.ts', '    this.#notices.accepted(position, this.resume.stored);'),
  },
  {
    id: 'crash-05',
    say: 'after an event was queued, before it is sent',
    by: 'leader',
    edits: before('src/delivery/push-delivery.ts', 'this.#ports.telemetry.handed(entries);'),
  },
  {
    id: 'crash-06',
    say: 'after an event was sent, before its answer',
    by: 'leader',
    edits: [
      {
        file: 'src/delivery/push-transport.ts',
        find: "response = await this.#pool.request({ method: 'POST', path: this.#path, headers, body, signal });",
        replace:
          `const asked = this.#pool.request({ method: 'POST', path: this.#path, headers, body, signal });\n    ` +
          `setImmediate(() => { ${CRASH}; });\n    response = await asked;`,
      },
    ],
  },
  {
    id: 'crash-07',
    say: 'after an acknowledgement, before its checkpoint',
    by: 'leader',
    edits: before('src/sidecar/stream/stream-driver.ts', 'this.#checkpointer.write({ ...covering, record }, nowMs);'),
  },
  {
    id: 'crash-08',
    say: 'the checkpoint is stored, its answer was not heard',
    by: 'leader',
    edits: before(
      'src/sidecar/stream/checkpointer.ts',
      "    const outcome = answer === 'stored' ? 'stored' : 'fenced';",
    ),
  },
  {
    id: 'crash-09',
    say: 'after the last checkpoint, before the lease is given away',
    by: 'drain',
    edits: before('src/sidecar/leadership/lease-calls.ts', 'this.#ask( this.#leases.transfer(lease,'),
  },
  {
    id: 'crash-10',
    say: 'after the next connection opened, before the old one closes',
    by: 'rotation',
    edits: before('src/sidecar/stream/stream-connection.ts', '    this.#telemetry.ready(effect, this.state'),
  },
  {
    id: 'crash-11',
    say: 'after the old connection closed, while the next one takes over',
    by: 'rotation',
    edits: before(
      'src/sidecar/stream/stream-telemetry.ts',
      "    this.#deps.log.info({ ...this.#labels, connectionId, purpose: effect.purpose }, 'the new " +
        "connection took over');",
    ),
  },
  {
    id: 'crash-12',
    say: 'the reaper has looked, and not yet judged',
    by: 'reaper',
    edits: before('src/coordination/redis/connection-registry.ts', '    const dead: string[] = [];'),
  },
];

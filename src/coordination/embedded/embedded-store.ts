/**
 * The store of a single replica: a directory with an SQLite file of Node's own, and leadership without rivals. This
 * folder never shares anything between processes: a second process on the directory is refused. Several replicas need
 * src/coordination/redis; the contracts of both are in src/coordination.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { HoldfastError } from '../../core/errors.ts';
import { embeddedFailure, isHeld } from './embedded-failure.ts';
import {
  LETTER_LIMITS,
  letterBytes,
  parseCheckpoint,
  type Checkpoint,
  type DeadLetter,
  type LetterLimits,
  type Store,
} from '../store.ts';

/** Layout of the file; a newer one is refused. */
const SCHEMA = 1;
/** Lets SQLite wait this long for a lock that another process holds, such as a backup. */
const BUSY_TIMEOUT_MS = 2000;

const TABLES = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS clients (client TEXT PRIMARY KEY, epoch INTEGER NOT NULL, holder TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS checkpoints (client TEXT NOT NULL, stream TEXT NOT NULL, idx INTEGER NOT NULL,
    ahead INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (client, stream)) STRICT;
  CREATE TABLE IF NOT EXISTS sealed (client TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (client, name)) STRICT;
  CREATE TABLE IF NOT EXISTS letters (client TEXT NOT NULL, stream TEXT NOT NULL, id TEXT NOT NULL,
    bytes INTEGER NOT NULL, record TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (client, stream, id)) STRICT;
`;

/**
 * Stores one replica's records in a file through Node's own SQLite. Checkpoints survive the process at once and a power
 * cut within the last moments (WAL, synchronous NORMAL): losing one costs duplicates, never an event. Dead letters and
 * sealed values are written through (FULL). A second process on the same directory is refused.
 */
export class EmbeddedStore implements Store {
  readonly kind = 'embedded';
  readonly #db: DatabaseSync;
  readonly #lock: DatabaseSync;
  readonly #file: string;
  readonly #limits: LetterLimits;
  readonly #statements = new Map<string, StatementSync>();

  /** @throws HoldfastError HF_STORE_UNAVAILABLE, HF_STORE_BUSY, HF_STORE_SCHEMA */
  constructor(directory: string, limits: LetterLimits = LETTER_LIMITS) {
    this.#limits = limits;
    this.#file = join(directory, 'holdfast.db');
    let at = directory;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      at = join(directory, 'holdfast.lock');
      this.#lock = takeLock(at);
      at = this.#file;
      this.#db = new DatabaseSync(at);
      this.#db.exec(
        `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = ${String(BUSY_TIMEOUT_MS)};`,
      );
      this.#db.exec(TABLES);
      this.#checkSchema();
    } catch (error) {
      throw error instanceof HoldfastError ? error : embeddedFailure(at, error);
    }
  }

  /** Returns a compiled statement; compiles each once: a checkpoint runs three of them many times a second. */
  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#db.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }

  claim(client: string, holder: string, floor: number): Promise<number> {
    return this.#run(() =>
      this.#atomic(() => {
        const epoch = Math.max(this.#epoch(client), floor) + 1;
        this.#sql(
          'INSERT INTO clients VALUES (?, ?, ?) ON CONFLICT (client) DO UPDATE SET epoch = excluded.epoch, ' +
            'holder = excluded.holder',
        ).run(client, epoch, holder);
        return epoch;
      }),
    );
  }

  epoch(client: string): Promise<number> {
    return this.#run(() => this.#epoch(client));
  }

  load(client: string, stream: string): Promise<Checkpoint | undefined> {
    return this.#run(() => {
      const row = this.#sql('SELECT record FROM checkpoints WHERE client = ? AND stream = ?').get(client, stream);
      if (row === undefined) return undefined;
      const checkpoint = parseCheckpoint(String(row['record']));
      if (checkpoint === 'newer')
        throw new HoldfastError(
          'HF_STORE_SCHEMA',
          `the checkpoint of ${client}/${stream} was written by a newer version`,
        );
      if (checkpoint === undefined)
        throw new HoldfastError('HF_STORE_CORRUPT', `the checkpoint of ${client}/${stream} cannot be read`);
      return checkpoint;
    });
  }

  save(
    client: string,
    epoch: number,
    checkpoints: Readonly<Record<string, Checkpoint>>,
  ): Promise<'stored' | 'fenced' | 'regressed'> {
    return this.#run(() =>
      this.#atomic(() => {
        if (this.#epoch(client) !== epoch) return 'fenced';
        const further = this.#sql(
          'SELECT 1 FROM checkpoints WHERE client = ? AND stream = ? AND (idx, ahead) > (?, ?)',
        );
        for (const [stream, { index, aheadCount = 0 }] of Object.entries(checkpoints)) {
          if (further.get(client, stream, index, aheadCount) !== undefined) return 'regressed';
        }
        const write = this.#sql(
          'INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?) ON CONFLICT (client, stream) DO UPDATE SET idx = ' +
            'excluded.idx, ahead = excluded.ahead, record = excluded.record',
        );
        for (const [stream, checkpoint] of Object.entries(checkpoints))
          write.run(client, stream, checkpoint.index, checkpoint.aheadCount ?? 0, JSON.stringify(checkpoint));
        return 'stored';
      }),
    );
  }

  async seed(client: string, stream: string, checkpoint: Checkpoint): Promise<boolean> {
    if ((await this.load(client, stream)) !== undefined) return false;
    return (await this.save(client, await this.epoch(client), { [stream]: checkpoint })) === 'stored';
  }

  saveSealed(client: string, epoch: number, name: string, sealed: string): Promise<'stored' | 'fenced'> {
    return this.#run(() =>
      this.#through(() => {
        if (this.#epoch(client) !== epoch) return 'fenced';
        this.#sql(
          'INSERT INTO sealed VALUES (?, ?, ?) ON CONFLICT (client, name) DO UPDATE SET value = excluded.value',
        ).run(client, name, sealed);
        return 'stored';
      }),
    );
  }

  loadSealed(client: string, name: string): Promise<string | undefined> {
    return this.#run(() => {
      const row = this.#sql('SELECT value FROM sealed WHERE client = ? AND name = ?').get(client, name);
      return row === undefined ? undefined : String(row['value']);
    });
  }

  addDeadLetter(client: string, letter: DeadLetter): Promise<'stored' | 'full'> {
    return this.#run(() =>
      this.#through(() => {
        if (!this.#hasRoom(client, letter)) return 'full';
        const { data, ...record } = letter;
        this.#sql('INSERT OR REPLACE INTO letters VALUES (?, ?, ?, ?, ?, ?)').run(
          client,
          letter.stream,
          letter.id,
          letterBytes(letter),
          JSON.stringify(record),
          data,
        );
        return 'stored';
      }),
    );
  }

  listDeadLetters(
    client: string,
    stream: string,
    after: string | undefined,
    limit: number,
  ): Promise<readonly DeadLetter[]> {
    return this.#run(() =>
      this.#sql('SELECT record, data FROM letters WHERE client = ? AND stream = ? AND id > ? ORDER BY id LIMIT ?')
        .all(client, stream, after ?? '', limit)
        .map(toLetter),
    );
  }

  getDeadLetter(client: string, stream: string, id: string): Promise<DeadLetter | undefined> {
    return this.#run(() => {
      const row = this.#sql('SELECT record, data FROM letters WHERE client = ? AND stream = ? AND id = ?').get(
        client,
        stream,
        id,
      );
      return row === undefined ? undefined : toLetter(row);
    });
  }

  removeDeadLetter(client: string, stream: string, id: string): Promise<boolean> {
    return this.#run(() =>
      this.#through(
        () =>
          this.#sql('DELETE FROM letters WHERE client = ? AND stream = ? AND id = ?').run(client, stream, id).changes >
          0,
      ),
    );
  }

  purgeDeadLetters(client: string, stream: string): Promise<number> {
    return this.#run(() =>
      this.#through(() =>
        Number(this.#sql('DELETE FROM letters WHERE client = ? AND stream = ?').run(client, stream).changes),
      ),
    );
  }

  countDeadLetters(client: string, stream: string): Promise<number> {
    return this.#run(() => this.#count(client, stream));
  }

  close(): Promise<void> {
    this.#db.close();
    this.#lock.close();
    return Promise.resolve();
  }

  #checkSchema(): void {
    const row = this.#sql("SELECT value FROM meta WHERE name = 'schema'").get();
    if (row === undefined) this.#sql("INSERT INTO meta VALUES ('schema', ?)").run(String(SCHEMA));
    else if (Number(row['value']) > SCHEMA)
      throw new HoldfastError(
        'HF_STORE_SCHEMA',
        'the embedded store was written by a newer version of Holdfast; use that version',
      );
  }

  #epoch(client: string): number {
    return Number(this.#sql('SELECT epoch FROM clients WHERE client = ?').get(client)?.['epoch'] ?? 0);
  }

  #count(client: string, stream: string): number {
    return Number(
      this.#sql('SELECT count(*) AS n FROM letters WHERE client = ? AND stream = ?').get(client, stream)?.['n'] ?? 0,
    );
  }

  /** Returns whether both limits allow the letter, counted without the one that it would replace. */
  #hasRoom(client: string, letter: DeadLetter): boolean {
    const others = this.#sql(
      'SELECT count(*) AS n, coalesce(sum(bytes), 0) AS bytes FROM letters WHERE client = ? AND stream = ? AND id <> ?',
    ).get(client, letter.stream, letter.id);
    const count = Number(others?.['n'] ?? 0);
    const bytes = Number(others?.['bytes'] ?? 0);
    return count < this.#limits.count && bytes + letterBytes(letter) <= this.#limits.bytes;
  }

  #atomic<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk ends the transaction by itself, and then there is nothing to roll back.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Runs a transaction that is on the disk when it returns. */
  #through<T>(work: () => T): T {
    this.#db.exec('PRAGMA synchronous = FULL');
    try {
      return this.#atomic(work);
    } finally {
      this.#db.exec('PRAGMA synchronous = NORMAL');
    }
  }

  #run<T>(work: () => T): Promise<T> {
    try {
      return Promise.resolve(work());
    } catch (error) {
      return Promise.reject(error instanceof HoldfastError ? error : embeddedFailure(this.#file, error));
    }
  }
}

/** Takes an exclusive lock that the kernel drops when the process dies, however it dies. */
function takeLock(file: string): DatabaseSync {
  const lock = new DatabaseSync(file);
  try {
    lock.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS ' +
        'held (x INTEGER) STRICT;',
    );
    return lock;
  } catch (error) {
    lock.close();
    if (!isHeld(error)) throw error;
    throw new HoldfastError(
      'HF_STORE_BUSY',
      'another process uses this embedded store; run one replica per directory, or use --store redis://… for more',
      { cause: error },
    );
  }
}

function toLetter(row: Record<string, unknown>): DeadLetter {
  const record = JSON.parse(String(row['record'])) as Omit<DeadLetter, 'data'>;
  return { ...record, data: Buffer.from(row['data'] as Uint8Array) };
}

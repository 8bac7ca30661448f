import { createHash, randomBytes } from 'node:crypto';
import type { LeaseView } from '../../core/lease/lease.ts';
import type { Member } from '../../core/lease/candidate-ranking.ts';
import { recordIn } from '../record-in.ts';
import { RedisKeys } from './redis-keys.ts';
import type { AcquireAnswer, Leases, Notice, RenewAnswer, RenewRequest, SelfReport, Sighting } from '../leases.ts';
import {
  BREAK,
  CLAIM_LEASE,
  LEAVE,
  OBSERVE_MANY,
  releaseScript,
  RENEW_MANY,
  TRANSFER,
} from './scripts/lease-scripts.ts';
import type { RedisConnectionState, RedisConnection } from './redis-connection.ts';
import { PlainAdapter, RedlockAdapter, type LockAdapter } from './lock-adapter.ts';

/** Leases per call: more would block the server for everybody else. */
const PER_CALL = 200;
/** Pause before a subscription that failed is tried again; notices only save time, so there is no hurry. */
const SUBSCRIBE_AGAIN_MS = 1000;
/** Leases that a member's record names as refused: a record stands in the list of every lease. */
const REFUSED_NAMED = 16;
/** Characters of the longest message that is read. */
const MESSAGE_LIMIT_CHARS = 4096;
/** A member that said nothing for this long is removed from the list. */
const FORGET_MEMBER_MS = 300_000;

/**
 * Gives leadership over Redis (docs/leadership.md). The lock goes through redlock or, with the plain adapter, through
 * the same scripts without it.
 */
export class RedisLeases implements Leases {
  readonly #link: RedisConnection;
  readonly #channel: string;
  readonly #lock: LockAdapter;
  readonly #byFence = new Map<string, string>();
  readonly #notices: ((notice: Notice) => void)[] = [];
  #storeAheadMs = 0;
  #sinceStoreMs = 0;
  /** Our record in each lease's list of candidates, and since when it is there. */
  readonly #written = new Map<string, { readonly record: string; readonly atMs: number }>();
  #subscribed = false;

  constructor(link: RedisConnection, adapter: 'redlock' | 'plain') {
    this.#link = link;
    this.#channel = `${link.prefix}:ev`;
    const release = releaseScript(this.#channel);
    this.#lock =
      adapter === 'redlock'
        ? new RedlockAdapter(link, release)
        : new PlainAdapter(link, release, () => randomBytes(16).toString('hex'));
    link.redis.on('message', (channel: string, text: string) => {
      this.#onMessage(channel, text);
    });
    link.onState((state) => {
      if (state === 'up') this.#subscribe();
    });
  }

  onLink(listener: (state: RedisConnectionState) => void): void {
    this.#link.onState(listener);
  }

  onNotice(listener: (notice: Notice) => void): void {
    this.#notices.push(listener);
  }

  async observe(leases: readonly string[], self: SelfReport): Promise<ReadonlyMap<string, Sighting>> {
    const out = new Map<string, Sighting>();
    for (const part of this.#parts(leases, (lease) => lease)) {
      const answer = (await this.#link.script(
        OBSERVE_MANY,
        part.flatMap((lease) => this.#four(lease)),
        [self.id, self.id === '' ? '' : this.#recordOf(self), fresh(), String(FORGET_MEMBER_MS)],
      )) as [string, ...(Row | 'unreadable')[]];
      const [storeMs, ...rows] = answer;
      this.#sinceStoreMs ||= Number(storeMs);
      this.#clock(Number(storeMs));
      part.forEach((lease, index) => {
        const row = rows[index];
        if (row !== undefined && row !== 'unreadable')
          out.set(lease, this.#sighting(row, Number(storeMs), { self: self.id, lease }));
      });
    }
    return out;
  }

  async acquire(
    lease: string,
    want: {
      readonly ttlMs: number;
      readonly incarnation: string;
      readonly floor: number;
      readonly fenceToken: string;
      readonly beat: string;
    },
    self: SelfReport,
  ): Promise<AcquireAnswer> {
    const keys = this.#keys(lease);
    const run = this.#run();
    const [inc = '', watchedRun = ''] = want.incarnation.split('@');
    if (watchedRun !== run) return { kind: 'quarantine' };
    const token = await this.#lock.acquire(keys, want.ttlMs);
    if (token === undefined) return { kind: 'held' };
    let answer: string[];
    try {
      answer = (await this.#link.script(CLAIM_LEASE, this.#four(lease), [
        token,
        inc,
        String(want.floor),
        self.id,
        this.#conn(),
        run,
        fresh(),
        want.fenceToken,
        want.beat,
      ])) as string[];
    } catch (error) {
      await this.#lock.release(keys, token).catch(() => undefined); // no replica acts for it; it expires
      throw error;
    }
    if (answer[0] === 'won')
      return {
        kind: 'won',
        token,
        epoch: Number(answer[1]),
        storeMs: Number(answer[2]),
        incarnation: `${String(answer[3])}@${run}`,
      };
    return { kind: answer[0] === 'quarantine' ? 'quarantine' : 'held' };
  }

  async renew(
    requests: readonly RenewRequest[],
    ttlMs: number,
    self: SelfReport,
  ): Promise<ReadonlyMap<string, RenewAnswer>> {
    const out = new Map<string, RenewAnswer>();
    const run = this.#run();
    for (const part of this.#parts(requests, (one) => one.lease)) {
      const leases = part.map((one) => one.lease);
      const record = this.#recordDue(self, leases, ttlMs);
      const per = part.flatMap(({ token, epoch, notAfterStoreMs }) => [token, String(epoch), String(notAfterStoreMs)]);
      const common = [String(ttlMs), self.id, record, this.#conn(), run, fresh(), self.id];
      const [storeMs, ...rest] = (await this.#link.script(
        RENEW_MANY,
        part.flatMap(({ lease }) => this.#four(lease)),
        [...common, ...per],
      )) as [string, ...(number | string)[]];
      this.#clock(Number(storeMs));
      if (record !== '') for (const lease of leases) this.#written.set(lease, { record, atMs: performance.now() });
      part.forEach(({ lease }, index) => {
        const code = Number(rest[2 * index]);
        const incarnation = `${String(rest[2 * index + 1])}@${run}`;
        if (code === 1 || code === 3)
          out.set(lease, { kind: 'renewed', storeMs: Number(storeMs), incarnation, forgotten: code === 3 });
        else if (code !== -1) out.set(lease, { kind: code === 2 ? 'forgotten' : 'lost' });
      });
    }
    return out;
  }

  get storeAheadMs(): number {
    return this.#storeAheadMs;
  }

  /** Takes the store's clock from an answer. The answer took some time: its clock is a little old, never ahead. */
  #clock(storeMs: number): void {
    this.#storeAheadMs = storeMs - Date.now();
  }

  async gone(conns: readonly string[]): Promise<ReadonlyMap<string, boolean> | undefined> {
    const numbers = conns.filter((conn) => /^\d+$/.test(conn));
    if (numbers.length === 0) return undefined;
    const list = String(await this.#link.ask(() => this.#link.redis.client('LIST', 'ID', ...numbers)));
    const alive = new Set([...list.matchAll(/^id=(\d+) /gm)].map((match) => match[1]));
    return new Map(numbers.map((conn) => [conn, !alive.has(conn)]));
  }

  async break(
    lease: string,
    { token, conn, beat }: { readonly token: string; readonly conn: string | undefined; readonly beat: string },
  ): Promise<boolean> {
    const { lock, fence } = this.#keys(lease);
    return Number(await this.#link.script(BREAK, [lock, fence], [token, conn ?? '*', this.#channel, beat])) === 1;
  }

  release(lease: string, token: string): Promise<boolean> {
    return this.#lock.release(this.#keys(lease), token);
  }

  async transfer(
    lease: string,
    from: { readonly token: string; readonly epoch: number },
    to: { readonly heir: string; readonly token: string; readonly epoch: number },
    ttlMs: number,
  ): Promise<boolean> {
    const { lock, fence } = this.#keys(lease);
    return (
      Number(
        await this.#link.script(
          TRANSFER,
          [lock, fence],
          [from.token, String(from.epoch), to.token, String(ttlMs), to.heir, this.#channel, String(to.epoch)],
        ),
      ) === 1
    );
  }

  async publish(notice: Notice): Promise<void> {
    await this.#link.ask(() => this.#link.redis.publish(this.#channel, JSON.stringify(notice)));
  }

  async leave(leases: readonly string[], id: string): Promise<void> {
    for (const lease of leases) this.#written.delete(lease);
    for (const part of this.#parts(leases, (lease) => lease))
      await this.#link.script(
        LEAVE,
        part.map((lease) => this.#keys(lease).members),
        [id],
      );
  }

  /** Returns the record to write with a renewal; empty unless it is news, or would soon look old. */
  #recordDue(self: SelfReport, leases: readonly string[], ttlMs: number): string {
    const record = this.#recordOf(self);
    const now = performance.now();
    const fresh = (lease: string): boolean => {
      const written = this.#written.get(lease);
      return written?.record === record && now - written.atMs < ttlMs / 2;
    };
    return leases.every(fresh) ? '' : record;
  }

  /**
   * Returns our record for the list of candidates; since when we take part is the store's own clock, known from its
   * first answer.
   */
  #recordOf(self: SelfReport): string {
    const refused = self.refusedLeases.slice(0, REFUSED_NAMED).map(markOf);
    return JSON.stringify([self.revision, self.load, self.ready ? 1 : 0, this.#sinceStoreMs, ...refused]);
  }

  /** Subscribes to notices. Once subscribed, ioredis subscribes again after every reconnect by itself. */
  #subscribe(): void {
    if (this.#subscribed || this.#link.identity === undefined) return;
    this.#link.redis.subscribe(this.#channel).then(
      () => {
        this.#subscribed = true;
      },
      () => {
        setTimeout(() => {
          this.#subscribe();
        }, SUBSCRIBE_AGAIN_MS).unref();
      }, // notices only save time
    );
  }

  #keys(lease: string): RedisKeys {
    const keys = new RedisKeys(this.#link.prefix, lease);
    this.#byFence.set(keys.fence, lease);
    return keys;
  }

  #four(lease: string): readonly string[] {
    const { lock, fence, incarnation, members } = this.#keys(lease);
    return [lock, fence, incarnation, members];
  }

  /** Yields the parts of a call: not too many, and on a cluster only leases of one slot. */
  *#parts<T>(all: readonly T[], leaseOf: (one: T) => string): Generator<readonly T[]> {
    const groups =
      this.#link.identity?.cluster === true
        ? Map.groupBy(all, (one) => new RedisKeys(this.#link.prefix, leaseOf(one)).shard).values()
        : [all];
    for (const group of groups)
      for (let at = 0; at < group.length; at += PER_CALL) yield group.slice(at, at + PER_CALL);
  }

  #run(): string {
    return this.#link.identity?.run ?? '';
  }

  #conn(): string {
    return this.#link.identity?.conn ?? '';
  }

  #sighting(
    [token, pttl, epoch, fenceToken, state, conn, run, beat, inc, holder, members]: Row,
    storeMs: number,
    { self, lease }: { readonly self: string; readonly lease: string },
  ): Sighting {
    // A connection number of another server process proves nothing here.
    const provable = run === this.#run() ? conn : '';
    const view: LeaseView = {
      token: token === '' ? undefined : token,
      pttlMs: pttl === -1 ? Infinity : Math.max(0, pttl),
      epoch: Number(epoch === '' ? '0' : epoch),
      fenceToken,
      state: state === 'held' || state === 'released' ? state : state === 'broken' ? 'released' : 'none',
      conn: provable,
      formerSelf: holder === self && conn !== this.#conn(),
      beat,
      incarnation: `${inc}@${this.#run()}`,
      storeMs,
    };
    return { view, holder, members: membersOf(members, markOf(lease)) };
  }

  #onMessage(channel: string, text: string): void {
    if (channel !== this.#channel) return;
    const notice = text.startsWith('changed ') ? this.#changed(text.slice('changed '.length)) : noticeOf(text);
    if (notice !== undefined) for (const listener of this.#notices) listener(notice);
  }

  #changed(fence: string): Notice | undefined {
    const lease = this.#byFence.get(fence);
    return lease === undefined ? undefined : { kind: 'changed', lease };
  }
}

type Row = [string, number, string, string, string, string, string, string, string, string, string[]];

/** Returns the name of a lease in a member's record: short, and enough to tell the leases of one process apart. */
function markOf(lease: string): string {
  return createHash('sha256').update(lease).digest('base64url').slice(0, 8);
}

/** Reads members, `seen [revision, load, ready, since, marks of refused leases...]`; leaves out what cannot be read. */
function membersOf(flat: readonly string[], mark: string): readonly Member[] {
  const out: Member[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const match = /^(\d+) (.*)$/s.exec(flat[at + 1] ?? '');
    const record = match === null ? undefined : arrayIn(match[2] ?? '');
    if (match === null || record === undefined) continue;
    const [revision, load, ready, since, ...refused] = record;
    out.push({
      id: flat[at] ?? '',
      seenStoreMs: Number(match[1]),
      sinceStoreMs: Number(since ?? 0) || Number(match[1]),
      revision: String(revision),
      load: Number(load),
      ready: ready === 1,
      refused: refused.includes(mark),
    });
  }
  return out;
}

function arrayIn(text: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? (value as unknown[]) : undefined;
  } catch {
    return undefined; // a foreign value
  }
}

/** What a message of each kind must hold. `changed` has another form: a script publishes it. */
const MESSAGES: Readonly<Record<Exclude<Notice['kind'], 'changed'>, Readonly<Record<string, string>>>> = {
  offer: { lease: 'string', heir: 'string', epoch: 'number', prove: 'boolean' },
  warm: { lease: 'string', heir: 'string', token: 'string' },
  'hand-over': { lease: 'string', epoch: 'number' },
  dead: { connection: 'string' },
};

/** Reads a message of the channel, which may hold anything. */
function noticeOf(text: string): Notice | undefined {
  const message = text.length > MESSAGE_LIMIT_CHARS ? undefined : recordIn(text);
  const kind = message?.['kind'];
  if (message === undefined || typeof kind !== 'string' || !Object.hasOwn(MESSAGES, kind)) return undefined;
  const members = MESSAGES[kind as keyof typeof MESSAGES];
  const sound = Object.entries(members).every(([name, type]) => typeof message[name] === type);
  return sound ? (message as unknown as Notice) : undefined;
}

function fresh(): string {
  return randomBytes(8).toString('hex');
}

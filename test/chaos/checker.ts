import { conduct } from './conduct.ts';
import { ms, type HistoryLine, type RunFacts } from './history.ts';
import { seenIn, type Seen } from './seen.ts';

/** A rule of docs/chaos.md that a history breaks, with the line that shows it. */
export interface Violation {
  readonly rule: string;
  readonly text: string;
  readonly at: HistoryLine | undefined;
}

export interface Judgement {
  readonly verdict: 'PASS' | 'FAIL' | 'INVALID';
  readonly violations: readonly Violation[];
  readonly figures: Readonly<Record<string, number>>;
  readonly seen: ReadonlySet<Seen>;
}

/** Two instants of different writers closer than this have no order; ties go to the system under test. */
const TIE_MS = 1;
/** After a newer epoch spoke, the older one has this long to fall silent. */
const LATE_EPOCH_MS = 50;
const WINDOWS_MS = [1000, 10_000, 60_000, 300_000];
/** A frozen process closes its socket within this of going on. */
const THAW_MS = 50;
/** Other replicas have a copy of what the store was told this much before. */
const COPIED_MS = 2000;
const ACK_AFTER_MS = 5000;

/**
 * Judges a history by what the platform, the consumer, the nemesis, the observer and the process starter wrote; nothing
 * the system under test says of itself counts. Rules and records are those of docs/chaos.md.
 */
export function judge(lines: readonly HistoryLine[], facts: RunFacts): Judgement {
  const invalid = formProblems(lines);
  if (invalid.length > 0) return { verdict: 'INVALID', violations: invalid, figures: {}, seen: new Set() };
  const inOrder = [...lines].sort((a, b) => (BigInt(a.t) < BigInt(b.t) ? -1 : BigInt(a.t) > BigInt(b.t) ? 1 : 0));
  const court = new Court(inOrder, facts);
  const violations = court.judge();
  return {
    verdict: violations.length === 0 ? 'PASS' : 'FAIL',
    violations,
    figures: court.figures,
    seen: seenIn(inOrder, facts.streamClass),
  };
}

/** A history that is broken itself is no evidence for anything. */
function formProblems(lines: readonly HistoryLine[]): readonly Violation[] {
  const out: Violation[] = [];
  const bad = (text: string, at: HistoryLine | undefined): void => void out.push({ rule: 'form', text, at });
  const writers = new Map<string, HistoryLine>();
  const ended = new Set<string>();
  const open = new Set<string>();
  const asked = new Set<string>();
  const made = new Set<string>();
  const faults = new Set<string>();
  for (const line of lines) {
    const last = writers.get(line.w);
    if (line.i !== (last?.i ?? -1) + 1)
      bad(`line ${String(line.i)} of ${line.w} follows ${String(last?.i ?? 'nothing')}`, line);
    if (last !== undefined && BigInt(line.t) < BigInt(last.t)) bad(`time of ${line.w} goes back`, line);
    writers.set(line.w, line);
    if (line.k === 'eof') ended.add(line.w);
    if (line.k === 'conn.req') asked.add(String(line['conn']));
    if (line.k === 'conn.open' && !asked.has(String(line['conn'])))
      bad('a connection opened that nobody asked for', line);
    if (line.k === 'conn.open') open.add(String(line['conn']));
    if (line.k === 'conn.end') open.delete(String(line['conn']));
    if (line.k === 'ev.gen') made.add(`${String(line['stream'])} ${String(line['id'])}`);
    if (line.k === 'ev.tx' && !open.has(String(line['conn']))) bad('an event was sent on no connection', line);
    if (line.k === 'ev.tx' && !made.has(`${String(line['stream'])} ${String(line['id'])}`))
      bad('an event was sent that was never made', line);
    if (line.k === 'n.on') faults.add(String(line['f']));
    if (line.k === 'n.off') faults.delete(String(line['f']));
  }
  for (const name of writers.keys()) if (!ended.has(name)) bad(`the file of ${name} has no end`, writers.get(name));
  for (const fault of faults) bad(`fault ${fault} was never ended`, undefined);
  return out;
}

interface Made {
  readonly seq: number;
  readonly id: string;
  readonly key: string;
  readonly hash: string;
  readonly t: number;
  /** In which epoch it was delivered first. */
  epoch: number | undefined;
  received: number | undefined;
  acked: number | undefined;
  gapAt: number | undefined;
}

interface Interval {
  readonly conn: string;
  readonly pod: string;
  readonly from: number;
  to: number;
}

class Court {
  readonly #lines: readonly HistoryLine[];
  readonly #facts: RunFacts;
  readonly #out: Violation[] = [];
  readonly figures: Record<string, number> = {};
  readonly #made = new Map<string, Made>();
  readonly #bySeq = new Map<string, Made[]>();

  constructor(lines: readonly HistoryLine[], facts: RunFacts) {
    this.#lines = lines;
    this.#facts = facts;
  }

  judge(): readonly Violation[] {
    this.#index();
    this.#delivery();
    this.#poison();
    this.#loss();
    this.#gaps();
    this.#floor();
    this.#fencing();
    this.#overlap();
    this.#rate();
    this.#liveness();
    conduct(this.#lines, { facts: this.#facts, figures: this.figures }, (rule, text, at) => {
      this.#say(rule, text, at);
    });
    return this.#out;
  }

  #say(rule: string, text: string, at: HistoryLine | undefined): void {
    if (this.#out.filter((one) => one.rule === rule).length < 5) this.#out.push({ rule, text, at });
  }

  #index(): void {
    for (const line of this.#lines) {
      if (line.k !== 'ev.gen') continue;
      const stream = String(line['stream']);
      const made: Made = {
        seq: Number(line['seq']),
        id: String(line['id']),
        key: text(line['key']),
        hash: String(line['h']),
        t: ms(line),
        epoch: undefined,
        received: undefined,
        acked: undefined,
        gapAt: undefined,
      };
      this.#made.set(made.id, made);
      const list = this.#bySeq.get(stream);
      if (list === undefined) this.#bySeq.set(stream, [made]);
      else list.push(made);
    }
    for (const line of this.#lines) {
      if (line.k === 'c.ack') for (const id of line['ids'] as readonly string[]) this.#ackOf(id, ms(line));
      if (line.k === 'c.gap') for (const made of this.#covered(line)) made.gapAt ??= ms(line);
    }
  }

  #ackOf(id: string, t: number): void {
    const made = this.#made.get(id);
    if (made !== undefined) made.acked ??= t;
  }

  /**
   * The events a gap record speaks of: by number in class A (by time where no number was known yet), by time
   * elsewhere.
   */
  #covered(line: HistoryLine): readonly Made[] {
    const all = this.#bySeq.get(String(line['stream'])) ?? [];
    if (this.#facts.streamClass === 'A' && typeof line['fromT'] !== 'number')
      return all.filter((made) => made.seq >= Number(line['from']) && made.seq <= Number(line['to']));
    return all.filter((made) => made.t >= Number(line['fromT']) - TIE_MS && made.t <= Number(line['toT']) + TIE_MS);
  }

  /** C3 order, C4 duplicates, C10 integrity. */
  #delivery(): void {
    const lastOfKey = new Map<string, number>();
    let again = 0;
    let epoch = 0;
    let markT = -Infinity;
    let worst = 0;
    for (const line of this.#lines) {
      if (line.k === 'p.down' || line.k === 'p.up') {
        again = 0;
        markT = ms(line);
      }
      if (line.k !== 'c.rx') continue;
      const made = this.#made.get(String(line['id']));
      if (made === undefined) {
        this.#say('C10', `the consumer got ${String(line['id'])}, which was never made`, line);
        continue;
      }
      if (Number(line['epoch']) > epoch) {
        epoch = Number(line['epoch']);
        again = 0;
        markT = ms(line);
      }
      if (made.hash !== String(line['h'])) this.#say('C10', `the content of ${made.id} changed`, line);
      if (made.received === undefined) {
        made.received = ms(line);
        made.epoch = Number(line['epoch']);
        if (made.seq <= (lastOfKey.get(made.key) ?? -1) && line['backfill'] !== true)
          this.#say(
            'C3',
            `event ${String(made.seq)} of key ${made.key} came after ${String(lastOfKey.get(made.key))}`,
            line,
          );
        lastOfKey.set(made.key, Math.max(made.seq, lastOfKey.get(made.key) ?? -1));
        continue;
      }
      again += 1;
      worst = Math.max(worst, again);
      if (again > this.#facts.maxAgain)
        this.#say('C4', `${String(again)} events came again after one disruption`, line);
      // What an older leader had in flight knows nothing of a newer one's delivery: C6 bounds it.
      if (Number(line['epoch']) < (made.epoch ?? 0)) continue;
      if (line['redeliv'] !== true) this.#say('C4', `a repetition of ${made.id} is not marked`, line);
      if (
        made.acked !== undefined &&
        made.acked > markT + TIE_MS &&
        made.acked < ms(line) - TIE_MS &&
        made.received > markT
      )
        this.#say('C4', `${made.id} was acknowledged after the last disruption and came again`, line);
    }
    this.figures['repeats'] = worst;
  }

  /** C10 of what could not be read: every bad frame is announced by its hash, and nothing else is. */
  #poison(): void {
    const bad = new Set(this.#lines.filter((line) => line.k === 'fr.bad').map((line) => line['h']));
    const told = new Set(this.#lines.filter((line) => line.k === 'c.poison').map((line) => line['h']));
    for (const h of bad)
      if (!told.has(h))
        this.#say(
          'C10',
          `the bad frame ${String(h)} was never announced`,
          this.#lines.find((line) => line.k === 'fr.bad' && line['h'] === h),
        );
    for (const h of told)
      if (!bad.has(h))
        this.#say(
          'C10',
          `a frame ${String(h)} was announced as bad that nobody sent`,
          this.#lines.find((line) => line.k === 'c.poison' && line['h'] === h),
        );
  }

  /** C1. */
  #loss(): void {
    let lost = 0;
    for (const made of this.#made.values()) {
      if (made.acked !== undefined || made.gapAt !== undefined || !this.#offered(made)) continue;
      lost += 1;
      this.#say('C1', `event ${String(made.seq)} (${made.id}) was neither acknowledged nor announced`, undefined);
    }
    this.figures['lost'] = lost;
  }

  /** What the platform made before anybody was subscribed was never offered. */
  #offered(made: Made): boolean {
    const first = this.#lines.find((line) => line.k === 'sub.on');
    return first !== undefined && made.t >= ms(first);
  }

  /** C2: a gap names nothing that was delivered, and comes before any later event. */
  #gaps(): void {
    for (const line of this.#lines) {
      if (line.k !== 'c.gap') continue;
      this.figures['gaps'] = (this.figures['gaps'] ?? 0) + 1;
      // Where a position is known the platform is asked again: time says nothing there.
      if (this.#facts.streamClass === 'A' && typeof line['fromT'] === 'number') {
        const lostFrom = this.#lossBefore(ms(line)) - COPIED_MS;
        const known = [...this.#made.values()].find(
          (made) => made.acked !== undefined && made.acked < Math.min(ms(line) - TIE_MS, lostFrom),
        );
        if (known !== undefined)
          this.#say(
            'C2',
            `a gap was announced by time although the position of event ${String(known.seq)} was known`,
            line,
          );
        continue;
      }
      for (const made of this.#covered(line)) {
        if (this.#facts.streamClass === 'A' && made.received !== undefined)
          this.#say('C2', `event ${String(made.seq)} is inside a gap and was delivered`, line);
        if (this.#facts.streamClass === 'A' && !this.#unavailable(made, ms(line)))
          this.#say('C2', `event ${String(made.seq)} was announced as a gap although it could be had`, line);
      }
      const later = (this.#bySeq.get(String(line['stream'])) ?? []).find(
        (made) =>
          this.#facts.streamClass === 'A' &&
          made.seq > Number(line['to']) &&
          made.received !== undefined &&
          made.received < ms(line) - TIE_MS,
      );
      if (later !== undefined)
        this.#say('C2', `event ${String(later.seq)} was delivered before the gap in front of it was announced`, line);
    }
  }

  /** When the store last lost what it had. */
  #lossBefore(t: number): number {
    const losses = this.#lines.filter((line) => line.k === 'n.on' && line['storeLoss'] === true && ms(line) < t);
    return losses.length === 0 ? Infinity : ms(losses.at(-1));
  }

  /** Purged, or a number the platform skipped, before the announcement. */
  #unavailable(made: Made, t: number): boolean {
    return this.#lines.some((line) => line.k === 'ev.purge' && ms(line) <= t && Number(line['upto']) >= made.seq);
  }

  /** C5: a stored position covers only what was acknowledged or announced before. */
  #floor(): void {
    for (const line of this.#lines) {
      if (line.k !== 'r.ckpt') continue;
      for (const made of this.#bySeq.get(String(line['stream'])) ?? []) {
        if (made.seq > Number(line['seq']) || !this.#offered(made)) continue;
        const done = Math.min(made.acked ?? Infinity, made.gapAt ?? Infinity);
        if (done > ms(line) + TIE_MS)
          this.#say(
            'C5',
            `the checkpoint ${String(line['seq'])} passes event ${String(made.seq)}, not yet acknowledged`,
            line,
          );
      }
    }
  }

  /** C6: epochs grow; an older leader falls silent. */
  #fencing(): void {
    const stored = new Map<string, number>();
    const losing = new Set<string>();
    const firstOf = new Map<number, number>();
    let late = 0;
    for (const line of this.#lines) {
      // While a store may lose what it has, its numbers may go back; never otherwise.
      if (line.k === 'n.on' && line['storeLoss'] === true) losing.add(String(line['f']));
      if (line.k === 'n.off' && losing.delete(String(line['f']))) stored.clear();
      if (line.k === 'r.lock' || line.k === 'r.ckpt') {
        const epoch = Number(line['epoch']);
        const before = stored.get(line.k) ?? 0;
        if (epoch < before && losing.size === 0)
          this.#say('C6', `the store shows epoch ${String(epoch)} after ${String(before)}`, line);
        stored.set(line.k, Math.max(before, epoch));
      }
      if (line.k !== 'c.rx') continue;
      const epoch = Number(line['epoch']);
      if (!firstOf.has(epoch)) firstOf.set(epoch, ms(line));
      const newer = [...firstOf].find(([other, t]) => other > epoch && ms(line) > t + LATE_EPOCH_MS);
      if (newer === undefined) continue;
      late += 1;
      if (late > this.#facts.maxInFlight)
        this.#say(
          'C6',
          `${String(late)} events of epoch ${String(epoch)} after epoch ${String(newer[0])} had begun`,
          line,
        );
    }
    this.figures['epochs'] = firstOf.size;
    this.figures['late'] = late;
  }

  /** C7: two pods' connections never overlap for long, except while one of them was frozen. */
  #overlap(): void {
    const intervals = this.#intervals();
    const frozen = this.#frozen();
    let worst = 0;
    for (const [index, one] of intervals.entries()) {
      for (const other of intervals.slice(index + 1)) {
        if (other.from >= one.to) break;
        if (one.pod === other.pod) continue;
        const from = Math.max(one.from, other.from);
        const to = Math.min(one.to, other.to);
        const excused = frozen
          .filter(({ pod }) => pod === one.pod || pod === other.pod)
          .reduce((sum, cold) => sum + Math.max(0, Math.min(to, cold.to + THAW_MS) - Math.max(from, cold.from)), 0);
        const overlap = to - from - excused;
        worst = Math.max(worst, overlap);
        if (overlap > this.#facts.overlapMs)
          this.#say(
            'C7',
            `${one.pod} and ${other.pod} were connected together for ${overlap.toFixed(0)} ms`,
            this.#lines.find((line) => line.k === 'conn.open' && line['conn'] === other.conn),
          );
      }
    }
    this.figures['overlapMs'] = Math.round(worst);
  }

  #intervals(): readonly Interval[] {
    const pods = new Map(
      this.#lines.filter((line) => line.k === 'conn.req').map((line) => [String(line['conn']), String(line['pod'])]),
    );
    const endT = ms(this.#lines.at(-1));
    const out = new Map<string, Interval>();
    for (const line of this.#lines) {
      const conn = String(line['conn']);
      if (line.k === 'conn.open') out.set(conn, { conn, pod: pods.get(conn) ?? '', from: ms(line), to: endT });
      const open = out.get(conn);
      if (line.k === 'conn.end' && open !== undefined) open.to = Math.min(open.to, ms(line));
    }
    // What the replica closed behind a cut link is over, whatever the platform still believes.
    const byPort = new Map(
      this.#lines.filter((line) => line.k === 'conn.req').map((line) => [line['port'], String(line['conn'])]),
    );
    for (const line of this.#lines) {
      const open = line.k === 'net.closed' ? out.get(byPort.get(line['port']) ?? '') : undefined;
      if (open !== undefined && ms(line) >= open.from) open.to = Math.min(open.to, ms(line));
    }
    return [...out.values()].sort((a, b) => a.from - b.from);
  }

  #frozen(): readonly { readonly pod: string; readonly from: number; readonly to: number }[] {
    return this.#lines
      .filter((line) => line.k === 'n.on' && line['kind'] === 'freeze')
      .map((line) => ({
        pod: String(line['target']),
        from: ms(line),
        to: ms(this.#lines.find((end) => end.k === 'n.off' && end['f'] === line['f'])),
      }));
  }

  /** C8: attempts within the gate in every window, and none while the platform said to wait. */
  #rate(): void {
    const asked = this.#lines.filter((line) => line.k === 'conn.req');
    for (const windowMs of WINDOWS_MS) {
      const allowed = Math.min(
        this.#facts.capacity + windowMs / this.#facts.refillMs,
        this.#facts.attempts?.[windowMs] ?? Infinity,
      );
      let first = 0;
      for (const [index, line] of asked.entries()) {
        while (ms(asked[first]) < ms(line) - windowMs + TIE_MS) first += 1;
        if (index - first + 1 > allowed)
          this.#say('C8', `${String(index - first + 1)} attempts within ${String(windowMs)} ms`, line);
      }
    }
    for (const line of this.#lines) {
      if (line.k !== 'conn.rej' || typeof line['retryAfter'] !== 'number') continue;
      const early = asked.find(
        (request) =>
          ms(request) > ms(line) + TIE_MS && ms(request) < ms(line) + Number(line['retryAfter']) * 1000 - TIE_MS,
      );
      if (early !== undefined) this.#say('C8', 'an attempt before Retry-After had ended', early);
    }
    this.figures['attempts'] = asked.length;
  }

  /** C9: after the last fault a connection is open in time, and what was made by then is acknowledged in time. */
  #liveness(): void {
    const last = this.#lines.filter((line) => line.k === 'n.off' || line.k === 'n.do').at(-1);
    if (last === undefined) return;
    const byT = ms(last) + this.#facts.convergeMs;
    // After the end of the judged time the fleet is being stopped.
    const endT = ms(this.#lines.find((line) => line.k === 'n.end') ?? this.#lines.at(-1));
    if (endT < byT) return;
    if (!this.#intervals().some((one) => one.from <= byT && one.to > byT))
      this.#say('C9', `no connection is open ${String(this.#facts.convergeMs)} ms after the last fault`, last);
    const late = [...this.#made.values()].find(
      (made) =>
        made.t < byT &&
        this.#offered(made) &&
        made.gapAt === undefined &&
        (made.acked ?? Infinity) > byT + ACK_AFTER_MS,
    );
    if (late !== undefined && late.acked !== undefined)
      this.#say('C9', `event ${String(late.seq)} was acknowledged too late`, last);
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

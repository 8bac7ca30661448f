import { ms, type HistoryLine, type RunFacts } from './history.ts';

type Say = (rule: string, text: string, at: HistoryLine | undefined) => void;

interface Run {
  readonly facts: RunFacts;
  readonly figures: Record<string, number>;
}

/** An audit line may be this late. */
const AUDIT_LATE_MS = 1000;
/** Two clocks are compared: wall clock and monotonic. */
const CLOCKS_MS = 50;

/**
 * How the processes behaved, and whether what they say of themselves is true: memory and handles (C11), the ends of
 * processes (C12), secrets (C13), restraint toward a store that fails (C14), counters (C15), audit lines (C16), tokens
 * (C17), faults that must pass unnoticed (C18), and the platform's pings (C19).
 */
export function conduct(lines: readonly HistoryLine[], { facts, figures }: Run, say: Say): void {
  resources(lines, { facts, figures }, say);
  ends(lines, facts, say);
  secrets(lines, say);
  restraint(lines, { facts, figures }, say);
  counters(lines, facts, say);
  audit(lines, say);
  tokens(lines, say);
  steady(lines, say);
  if (facts.pongMs !== undefined) pongs(lines, facts.pongMs, say);
}

/** C11. */
function resources(lines: readonly HistoryLine[], { facts, figures }: Run, say: Say): void {
  const first = new Map<string, HistoryLine>();
  const last = new Map<string, HistoryLine>();
  for (const line of lines) {
    if (line.k !== 'p.stat') continue;
    figures['rssMb'] = Math.max(figures['rssMb'] ?? 0, Number(line['rssMb']));
    const pod = String(line['pod']);
    if (!first.has(pod)) first.set(pod, line);
    last.set(pod, line);
    if (Number(line['rssMb']) > facts.rssMb) say('C11', `${pod} uses ${String(line['rssMb'])} MiB`, line);
  }
  for (const [pod, line] of last) {
    const more = Number(line['fds']) - Number(first.get(pod)?.['fds']);
    if (more > facts.fdsMore) say('C11', `${pod} holds ${String(more)} descriptors more than at its start`, line);
  }
}

/** C12. */
function ends(lines: readonly HistoryLine[], facts: RunFacts, say: Say): void {
  for (const line of lines) {
    if (line.k !== 'p.down') continue;
    const { pod, code, sig, told } = line as unknown as {
      readonly pod: string;
      readonly code: number | null;
      readonly sig?: string | null;
      readonly told?: string;
    };
    const how = `(code ${String(code)}, signal ${String(sig)})`;
    // Told politely it ends by itself, in time: a signal is its own emergency exit.
    const well =
      code === null ? told !== 'SIGTERM' && told !== 'SIGINT' : code === 0 || facts.exitCodes?.includes(code) === true;
    if (told === undefined) say('C12', `the process of ${pod} ended by itself ${how}`, line);
    else if (!well) say('C12', `the process of ${pod} got ${told} and ended badly ${how}`, line);
  }
}

/** C13. */
function secrets(lines: readonly HistoryLine[], say: Say): void {
  for (const line of lines)
    if (line.k === 'p.out' && Number(line['secrets']) > 0)
      say('C13', `${String(line['secrets'])} secrets in what ${String(line['pod'])} wrote`, line);
}

/** C14: while the store fails (`failing`), commands and new connections of each replica stay few in every second. */
function restraint(lines: readonly HistoryLine[], { facts, figures }: Run, say: Say): void {
  for (const on of lines) {
    if (on.k !== 'n.on' || on['failing'] !== true) continue;
    const off = endOf(lines, on);
    for (const line of lines) {
      if (line.k !== 'net.use' || ms(line) < ms(on) + Number(line['overMs']) || ms(line) > off) continue;
      const perSecond = ((Number(line['commands']) + Number(line['connections'])) * 1000) / Number(line['overMs']);
      figures['perSecond'] = Math.max(figures['perSecond'] ?? 0, Math.round(perSecond));
      if (perSecond > facts.commandsPerSecond)
        say(
          'C14',
          `${String(line['pod'])} sent ${perSecond.toFixed(0)} commands a second to a store that failed`,
          line,
        );
    }
  }
}

/** C15: the counters of every replica that lives at the end say what the consumer saw. */
function counters(lines: readonly HistoryLine[], facts: RunFacts, say: Say): void {
  // What is handed over to nobody is counted, and seen by no one.
  if (lines.some((line) => line.k === 'n.on' && line['kind'] === 'consumer')) return;
  for (const line of lines) {
    if (line.k !== 'm.end') continue;
    const pod = String(line['pod']);
    // Afterwards the fleet is stopped, one by one: others lead for a moment.
    // A pod that was started again under its name counts anew.
    const born = ms(lines.filter((one) => one.k === 'p.up' && one['pod'] === pod).at(-1));
    const before = lines.filter((one) => ms(one) <= ms(line) && ms(one) >= born);
    const seen = before.filter((one) => (one.k === 'c.rx' || one.k === 'c.ctl') && one['pod'] === pod);
    const truth: Readonly<Record<string, number>> = {
      delivered: seen.filter((one) => Number(one['attempt']) === 1).length,
      redelivered: seen.filter((one) => Number(one['attempt']) > 1).length,
      gaps: new Set(
        before
          .filter((one) => one.k === 'c.gap' && one['pod'] === pod)
          .map((one) => `${String(one['from'])} ${String(one['to'])} ${String(one['cause'])}`),
      ).size,
      poison: new Set(before.filter((one) => one.k === 'c.poison' && one['pod'] === pod).map((one) => one['id'])).size,
    };
    // What was handed over in the moment of a freeze is counted, and dropped unsent after it.
    const unsent = before.some(
      (one) =>
        one.k === 'n.on' &&
        (one['kind'] === 'freeze' || one['kind'] === 'starve') &&
        one['steady'] !== true &&
        one['target'] === pod,
    )
      ? facts.maxInFlight
      : 0;
    const lies = (name: string, value: number): boolean =>
      Number(line[name]) < value || Number(line[name]) > value + (name.endsWith('delivered') ? unsent : 0);
    for (const [name, value] of Object.entries(truth))
      if (lies(name, value))
        say('C15', `${pod} counts ${name} ${String(line[name])}, the consumer saw ${String(value)}`, line);
    // A term may begin and end without an event.
    const led = new Set(before.filter((one) => one.k === 'c.rx' && one['pod'] === pod).map((one) => one['epoch'])).size;
    if (Number(line['leaderChanges']) < led)
      say('C15', `${pod} counts ${String(line['leaderChanges'])} terms and delivered in ${String(led)}`, line);
  }
}

/** C16: one audit line for every term that delivered and every gap, and none for a gap that was never announced. */
function audit(lines: readonly HistoryLine[], say: Say): void {
  // At the end the fleet is stopped: that excuses nothing that was written before.
  const endMs = ms(lines.find((line) => line.k === 'n.end') ?? lines.at(-1));
  const killed = new Map(
    lines.filter((line) => line.k === 'p.down' && ms(line) <= endMs).map((line) => [String(line['pod']), ms(line)]),
  );
  const said = lines.filter((line) => line.k === 'a.line');
  // What a process that is killed has not written yet is lost with it.
  const late = (pod: string, at: HistoryLine): boolean => (killed.get(pod) ?? Infinity) < ms(at) + AUDIT_LATE_MS;
  const terms = new Set<string>();
  const gaps = new Set<string>();
  for (const line of lines) {
    const pod = String(line['pod']);
    if (line.k === 'c.rx' && !terms.has(`${pod} ${String(line['epoch'])}`)) {
      terms.add(`${pod} ${String(line['epoch'])}`);
      const found = said.filter(
        (one) =>
          one['event'] === 'leader.changed' && one['pod'] === pod && Number(one['epoch']) === Number(line['epoch']),
      );
      if (found.length !== 1 && !late(pod, line))
        say(
          'C16',
          `${pod} delivers in epoch ${String(line['epoch'])} and has ${String(found.length)} audit lines for it`,
          line,
        );
      if (found[0] !== undefined && Number(found[0]['at']) > ms(line) + CLOCKS_MS)
        say('C16', `${pod} wrote down that it leads after it had delivered`, line);
    }
    const gap = `${pod} ${String(line['from'])} ${String(line['to'])}`;
    if (line.k === 'c.gap' && !gaps.has(gap)) {
      gaps.add(gap);
      const found = said.filter(
        (one) =>
          one['event'] === 'gap.detected' &&
          `${String(one['pod'])} ${String(one['from'])} ${String(one['to'])}` === gap,
      );
      if (found.length !== 1 && !late(pod, line))
        say('C16', `a gap of ${pod} has ${String(found.length)} audit lines`, line);
    }
  }
  for (const line of said) {
    const pod = String(line['pod']);
    if (
      line['event'] === 'gap.detected' &&
      !killed.has(pod) &&
      Number(line['at']) < endMs - AUDIT_LATE_MS &&
      !gaps.has(`${pod} ${String(line['from'])} ${String(line['to'])}`)
    )
      say('C16', `${pod} wrote down a gap that the consumer was never told of`, line);
  }
}

/** C17: no token after its end, and none again that the platform refused. */
function tokens(lines: readonly HistoryLine[], say: Say): void {
  const asked = new Map<string, string>();
  const refused = new Map<string, number>();
  for (const line of lines) {
    if (line.k === 'conn.req') {
      const token = typeof line['tokId'] === 'string' ? line['tokId'] : '';
      if (line['tok'] === 'expired') say('C17', 'a token was used after its end', line);
      if (ms(line) > (refused.get(token) ?? Infinity) + 1)
        say('C17', `the token ${token} was used again after it had been refused`, line);
      asked.set(String(line['conn']), token);
    }
    const token = asked.get(String(line['conn'])) ?? '';
    if (line.k === 'conn.rej' && line['status'] === 401 && token !== '' && !refused.has(token))
      refused.set(token, ms(line));
  }
}

/** C18: a fault that must pass unnoticed ends no connection and begins no term. */
function steady(lines: readonly HistoryLine[], say: Say): void {
  const pods = new Map(lines.filter((line) => line.k === 'conn.req').map((line) => [line['conn'], line['pod']]));
  for (const on of lines) {
    if (on.k !== 'n.on' || on['steady'] !== true) continue;
    const off = endOf(lines, on);
    const before = lines.filter((line) => line.k === 'r.lock' && ms(line) <= ms(on)).at(-1);
    for (const line of lines) {
      if (ms(line) <= ms(on) || ms(line) > off) continue;
      // What the victim itself still held may end.
      if (line.k === 'conn.end' && (on['but'] === undefined || pods.get(line['conn']) !== on['but']))
        say(
          'C18',
          `a connection ended (${String(line['code'])} ${String(line['reason'])}) although ` +
            `${String(on['kind'])} must pass unnoticed`,
          line,
        );
      if (line.k === 'r.lock' && line['epoch'] !== before?.['epoch'])
        say('C18', `a term began although ${String(on['kind'])} must pass unnoticed`, line);
    }
  }
}

/** C19: a platform's ping is answered in time, or the connection ends in time. */
function pongs(lines: readonly HistoryLine[], limitMs: number, say: Say): void {
  const waiting = new Map<string, HistoryLine>();
  const answered = (key: string, t: number): void => {
    const ping = waiting.get(key);
    waiting.delete(key);
    if (ping !== undefined && t - ms(ping) > limitMs)
      say('C19', `a ping of the platform had no answer for ${(t - ms(ping)).toFixed(0)} ms`, ping);
  };
  for (const line of lines) {
    const conn = String(line['conn']);
    if (line.k === 'ping.tx') waiting.set(`${conn} ${String(line['payload'])}`, line);
    if (line.k === 'pong.rx') answered(`${conn} ${String(line['payload'])}`, ms(line));
    if (line.k === 'conn.end')
      for (const key of waiting.keys()) if (key.startsWith(`${conn} `)) answered(key, ms(line));
  }
}

function endOf(lines: readonly HistoryLine[], on: HistoryLine): number {
  const end = lines.find((line) => line.k === 'n.off' && line['f'] === on['f']);
  return end === undefined ? Infinity : ms(end);
}

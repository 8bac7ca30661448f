import { expect } from 'chai';
import { FrameReader } from '../../src/platforms/frame-reader.ts';
import { PROFILES } from '../../src/platforms/index.ts';
import type { Position } from '../../src/platforms/profile.ts';
import { PlatformModel, type Answer, type PlatformOptions } from './platform.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const DIALECTS = ['genesys-streams', 'genesys-analytics-events', 'cxone-events', 'genesys-gateway'] as const;
type ModelDialect = PlatformOptions['dialect'];

interface Seen {
  readonly id: string;
  readonly key: string | undefined;
  readonly position: Position | undefined;
}

/** What the product's own codec makes of the frames. */
function read(dialect: ModelDialect, frames: readonly Buffer[]): readonly Seen[] {
  const seen: Seen[] = [];
  const fail = (): never => {
    throw new Error('not an event');
  };
  const reader = new FrameReader(PROFILES[dialect], PROFILES[dialect].fields);
  for (const frame of frames)
    reader.read(frame, false, {
      event: (view) => seen.push({ id: view.identity(), key: view.text('key'), position: view.position() }),
      control: fail,
      emptyBatch: fail,
      poison: fail,
    });
  return seen;
}

function open(answer: Answer): Extract<Answer, { kind: 'open' }> {
  if (answer.kind === 'open') return answer;
  throw new Error(`refused: ${answer.oldest}`);
}

describe('the model of a platform', () => {
  for (const dialect of DIALECTS) {
    for (const batch of [1, 3]) {
      it(
        `${dialect}, ${String(batch)} in a frame: live events, then a resume that repeats the last one (class ` +
          'C: nothing)',
        () => {
          const model = new PlatformModel({ dialect, retentionMs: Infinity, batch });
          const { link, frames } = open(model.connect(undefined, NOW));
          expect(frames).to.deep.equal([]);
          for (let n = 1; n <= 5; n += 1) model.make(NOW + n, `k${String(n % 2)}`);
          const live = read(dialect, model.due(link));
          expect(live.map((one) => one.id)).to.deep.equal(['e-1', 'e-2', 'e-3', 'e-4', 'e-5']);
          expect(live[0]?.key).to.equal('k1');
          expect(model.due(link), 'once').to.deep.equal([]);
          model.disconnect(link);
          model.make(NOW + 6, 'k');
          expect(model.due(link), 'closed').to.deep.equal([]);
          const again = open(model.connect(live.at(-1)?.position, NOW + 7));
          const repeated = read(dialect, again.frames).map((one) => one.id);
          expect(repeated).to.deep.equal(dialect === 'genesys-gateway' ? [] : ['e-5', 'e-6']);
          model.make(NOW + 8, 'k');
          expect(read(dialect, model.due(again.link)).map((one) => one.id)).to.deep.equal(['e-7']);
        },
      );
    }

    if (dialect !== 'genesys-gateway')
      it(`${dialect}: a position beyond retention is refused with the oldest on offer, from which it goes on`, () => {
        const model = new PlatformModel({ dialect, retentionMs: 1000, batch: 1 });
        const { link } = open(model.connect(undefined, NOW));
        for (let n = 0; n < 5; n += 1) model.make(NOW + n * 500, 'k');
        const seen = read(dialect, model.due(link));
        const answer = model.connect(seen[0]?.position, NOW + 2000);
        if (answer.kind === 'open') throw new Error('it was not refused');
        expect(answer.status).to.equal(410);
        const kind = seen[0]?.position?.kind ?? 'sequence';
        const value = kind === 'since' ? String(Date.parse(answer.oldest)) : answer.oldest;
        const { frames } = open(model.connect({ kind, value }, NOW + 2000));
        expect(read(dialect, frames).map((one) => one.id)).to.deep.equal(['e-3', 'e-4', 'e-5']);
      });
  }

  it('stamps ahead and behind: an event that is stamped before its predecessor is found by its stamp', () => {
    const model = new PlatformModel({ dialect: 'genesys-analytics-events', retentionMs: Infinity, batch: 1 });
    model.skewMs = 5000;
    model.make(NOW, 'k');
    model.skewMs = -5000;
    model.make(NOW + 1, 'k');
    const ask = (atMs: number): readonly string[] =>
      read('genesys-analytics-events', open(model.connect({ kind: 'since', value: String(atMs) }, NOW + 2)).frames).map(
        (one) => one.id,
      );
    expect(ask(NOW + 5000)).to.deep.equal(['e-1']);
    expect(ask(NOW - 4999)).to.deep.equal(['e-1', 'e-2']);
    expect(ask(NOW + 5001)).to.deep.equal([]);
  });
});

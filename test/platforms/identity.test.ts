import { expect } from 'chai';
import { FrameReader } from '../../src/platforms/frame-reader.ts';
import { PROFILES } from '../../src/platforms/index.ts';

function identityOf(event: Readonly<Record<string, unknown>>): string {
  const profile = PROFILES['genesys-gateway'];
  const seen: string[] = [];
  const ignored = (): void => undefined;
  new FrameReader(profile, profile.fields).read(Buffer.from(JSON.stringify(event)), false, {
    event: (view) => seen.push(view.identity()),
    control: ignored,
    emptyBatch: ignored,
    poison: ignored,
  });
  return seen[0] ?? '';
}

// Found and mended: A19
describe('the identity of an event without an id', () => {
  const event = { eventType: 'agent.state', correlationId: 'c-1', timestamp: '2026-01-01T00:00:00.000Z', state: 'on' };

  it('is the same for the same content, and another one for other content in the same millisecond', () => {
    expect(identityOf(event)).to.equal(identityOf({ ...event }));
    expect(identityOf(event)).to.not.equal(identityOf({ ...event, state: 'off' }));
    expect(identityOf(event)).to.include('agent.state').and.include('c-1');
  });
});

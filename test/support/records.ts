import type { Checkpoint, DeadLetter } from '../../src/coordination/store.ts';

export const checkpoint = (epoch: number, index: number, more: Partial<Checkpoint> = {}): Checkpoint => ({
  schema: 1,
  epoch,
  index,
  position: `sequence:${String(index)}`,
  era: 0,
  tail: ['9:1'],
  distinct: index,
  missing: 0,
  settledAtEpochMs: 1,
  ...more,
});

export const letter = (id: string, data = Buffer.from([0, 255, 123])): DeadLetter => ({
  id,
  stream: 's',
  eventId: `e-${id}`,
  attributes: '{"id":"x"}',
  data,
  reason: 'http_400',
  attempts: 3,
  firstAtEpochMs: 1,
  deadAtEpochMs: 2,
});

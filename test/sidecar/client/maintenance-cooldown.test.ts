import { expect } from 'chai';
import { maintenanceCooldownMs } from '../../../src/sidecar/client/maintenance-cooldown.ts';

const at = (iso: string): number => Date.parse(iso);

describe('maintenance windows (B9)', () => {
  it('an absolute window keeps dials waiting until it ends', () => {
    const windows = [{ from: '2026-03-01T02:00:00Z', to: '2026-03-01T03:00:00Z' }];
    expect(maintenanceCooldownMs(windows, at('2026-03-01T01:59:59Z'))).to.equal(0);
    expect(maintenanceCooldownMs(windows, at('2026-03-01T02:30:00Z'))).to.equal(1_800_000);
    expect(maintenanceCooldownMs(windows, at('2026-03-01T03:00:00Z'))).to.equal(0);
  });
  it('a daily window may pass midnight', () => {
    const windows = [{ dailyAt: '23:30', for: 3_600_000 }];
    expect(maintenanceCooldownMs(windows, at('2026-03-01T23:45:00Z'))).to.equal(2_700_000);
    expect(maintenanceCooldownMs(windows, at('2026-03-02T00:15:00Z'))).to.equal(900_000);
    expect(maintenanceCooldownMs(windows, at('2026-03-02T00:30:00Z'))).to.equal(0);
  });
});

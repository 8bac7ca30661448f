import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { PROFILES } from '../../src/platforms/index.ts';
import type { Dialect } from '../../src/platforms/profile.ts';
import { SIM_CLIENT } from '../../src/simulator/token-office.ts';

export interface DocumentOptions {
  readonly simPort: number;
  readonly dialect: Dialect;
  /** undefined: pull. */
  readonly consumerPort?: number;
  readonly client?: Record<string, unknown>;
  readonly stream?: Record<string, unknown>;
  readonly delivery?: Record<string, unknown>;
  readonly push?: Record<string, unknown>;
  readonly credentials?: Record<string, string>;
}

/** Delays short enough for tests; allowed because every host is loopback. */
const FAST_CLIENT = {
  reconnect: { baseDelay: '20ms', maxDelay: '200ms', extendedBaseDelay: '30ms', extendedMaxDelay: '300ms' },
  circuitBreaker: { open: '300ms' },
  gate: { capacity: 1000, refillEvery: '10ms', concurrent: 10 },
  token: { leadTime: '1s', minRemainingAtDial: '100ms', minRemainingAtRedial: '100ms', minInterval: '50ms' },
};

export function credentialsDirectory(
  credentials: Record<string, string> = { clientId: SIM_CLIENT.clientId, clientSecret: SIM_CLIENT.clientSecret },
): string {
  const directory = mkdtempSync(join(tmpdir(), 'hf-cred-'));
  for (const [name, value] of Object.entries(credentials)) writeFileSync(join(directory, name), value, { mode: 0o600 });
  return directory;
}

/** Writes a configuration for one stream against a simulator. @returns the file. */
export function writeDocuments(options: DocumentOptions): string {
  const profile = PROFILES[options.dialect];
  const http = `http://127.0.0.1:${String(options.simPort)}`;
  const directory = credentialsDirectory(options.credentials);
  const ping = profile.liveness.ping === undefined ? {} : { pingEvery: '150ms', pongTimeout: '100ms' };
  const client = {
    apiVersion: 'holdfast.dev/v1alpha1',
    kind: 'StreamClient',
    metadata: { name: 'acme' },
    spec: {
      platform: profile.platform,
      region: 'local',
      hosts: { login: http, api: http, streaming: `ws://127.0.0.1:${String(options.simPort)}` },
      credentials: { directory },
      ...FAST_CLIENT,
      ...options.client,
    },
  };
  const delivery =
    options.consumerPort === undefined
      ? { mode: 'Pull' }
      : {
          mode: 'Push',
          push: {
            url: `http://127.0.0.1:${String(options.consumerPort)}/events`,
            contentMode: 'batch',
            ...options.push,
          },
        };
  const stream = {
    apiVersion: 'holdfast.dev/v1alpha1',
    kind: 'EventStream',
    metadata: { name: 'main' },
    spec: {
      clientRef: { name: 'acme' },
      dialect: options.dialect,
      ...(profile.paths.length > 0 ? { path: profile.paths[0] } : {}),
      heartbeat: { ...ping, silence: '600ms' },
      resume: { reorderWindow: '100ms' },
      ...options.stream,
      delivery: { retryBaseDelay: '20ms', retryMaxDelay: '200ms', ...delivery, ...options.delivery },
    },
  };
  const file = join(directory, 'config.yaml');
  writeFileSync(file, `${stringify(client)}---\n${stringify(stream)}`);
  return file;
}

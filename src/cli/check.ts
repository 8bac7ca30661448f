import { parseStoreUrl } from '../coordination/store-url.ts';
import { ConfigError } from '../config/config-problem.ts';
import { LEASELESS_TTL_MS } from '../config/limits.ts';
import { RedisConnection } from '../coordination/redis/redis-connection.ts';
import { RedisStore } from '../coordination/redis/redis-store.ts';
import { ApiError, Kube } from '../operator/api/kube.ts';
import { GROUP, LABELS, VERSION } from '../operator/api/resources.ts';
import { command } from './command.ts';
import { EXIT_INTERNAL, EXIT_OK, storePassword } from './options.ts';

const USAGE = `holdfast check --store STORE [--store-password-file F] [--namespace NAME] [--attach webhook|policy|none]

Looks whether an installation works: the kinds are served, a pod that asks for a sidecar is answered (by a dry run),
Redis answers and is set as it should be. One line each; exit code 70 when something is wrong. helm test runs it.
`;

/** Gives Redis this long for its first answer; silence means a wrong address, a wrong password or a network policy. */
const REDIS_LIMIT_MS = 5000;
/** Of the pod that is asked for in the dry run. */
const NOBODY = 'holdfast-check-asks-for-nobody';

type Check = () => Promise<string>;

export const main = command(
  {
    usage: USAGE,
    options: {
      store: { type: 'string' },
      'store-password-file': { type: 'string' },
      namespace: { type: 'string', default: process.env['POD_NAMESPACE'] ?? 'default' },
      attach: { type: 'string', default: 'webhook' },
    },
  },
  async (values) => {
    const store = parseStoreUrl(values.store ?? '', 'hf', storePassword(values['store-password-file']));
    if ('code' in store) throw new ConfigError([store]);
    const kube = Kube.fromEnvironment('holdfast-check');
    const checks: readonly (readonly [string, Check])[] = [
      [
        'kinds',
        async () => {
          await kube.get(`/apis/${GROUP}/${VERSION}/namespaces/${values.namespace}/streamclients`, { limit: '1' });
          return 'StreamClient is served';
        },
      ],
      ['attach', () => attaching(kube, values.namespace, values.attach)],
      [
        'redis',
        () =>
          store.kind === 'embedded'
            ? Promise.reject(new Error('the store is embedded: name a Redis'))
            : redis(new RedisConnection(store, { ttlMs: LEASELESS_TTL_MS, onTrouble: () => undefined })),
      ],
    ];
    let failed = 0;
    for (const [name, check] of checks) {
      try {
        process.stdout.write(`ok    ${name}: ${await check()}\n`);
      } catch (error) {
        failed += 1;
        process.stdout.write(`FAIL  ${name}: ${error instanceof Error ? error.message : 'unknown'}\n`);
      }
    }
    return process.exit(failed === 0 ? EXIT_OK : EXIT_INTERNAL);
  },
);

/**
 * Checks attaching: a pod for a client that does not exist must be refused, in our words; that proves that our webhook
 * or policy was asked.
 */
async function attaching(kube: Kube, namespace: string, mode: string): Promise<string> {
  if (mode === 'none') return 'attach.mode is none';
  const security = {
    runAsNonRoot: true,
    runAsUser: 65_532,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'holdfast-check', labels: { [LABELS.client]: NOBODY } },
    spec: { containers: [{ name: 'none', image: 'none', securityContext: security }] },
  };
  try {
    await kube.create(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod);
  } catch (error) {
    if (!(error instanceof ApiError) || !error.message.includes('holdfast:')) throw error;
    if (mode === 'webhook' && !error.message.includes(`"${NOBODY}"`))
      throw new Error(`the backstop answered, the injector did not: ${error.message}`, { cause: error });
    return mode === 'webhook' ? 'the injector answers' : 'the policy is in force';
  }
  throw new Error('a pod that asks for a sidecar of nobody was let through: neither injector nor backstop answered');
}

async function redis(link: RedisConnection): Promise<string> {
  link.open();
  if (!(await link.ready(REDIS_LIMIT_MS)))
    throw new Error(
      `no answer within ${String(REDIS_LIMIT_MS)} ms: wrong address, wrong password, or a network policy in between`,
    );
  const { warnings } = await new RedisStore(link).condition();
  link.close();
  return warnings.length === 0 ? 'Redis answers' : `Redis answers, but: ${warnings.join('; ')}`;
}

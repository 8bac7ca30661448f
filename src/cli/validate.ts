import { BY_HAND, networkOf } from '../config/installation.ts';
import type { ClientPlan, StreamPlan } from '../config/plan.ts';
import { command } from './command.ts';
import { environmentProblems, EXIT_OK } from './options.ts';
import { readPlans } from './read-plans.ts';

const USAGE = `holdfast validate -f FILE... [--allow-private CIDRS] [--allowed-hosts HOSTS]

Checks configuration files and credential files without connecting to anything. Exit 0: usable. Exit 78: one JSON line
per problem on stderr.
`;

export const main = command(
  {
    usage: USAGE,
    options: {
      file: { type: 'string', short: 'f', multiple: true, default: [] },
      'allow-private': { type: 'string', default: '' },
      'allowed-hosts': { type: 'string', default: '' },
    },
  },
  async (values) => {
    const network = networkOf(values['allow-private'], values['allowed-hosts']);
    const { plans, warnings } = await readPlans(values.file, environmentProblems(process.env), {
      installation: { ...BY_HAND, ...network },
      passwordFile: undefined,
    });
    for (const warning of warnings) process.stdout.write(`warning: ${warning}\n`);
    for (const plan of plans) process.stdout.write(describe(plan));
    return EXIT_OK;
  },
);

function describe(plan: ClientPlan): string {
  const token = `token from ${plan.hosts.login}${plan.tokenEndpoint.path}`;
  return [
    `StreamClient ${plan.name}: ${plan.platform} ${plan.region}, ${token}\n`,
    ...plan.streams.map(describeStream),
  ].join('');
}

function describeStream({ name, profile, path = '', hosts, delivery: { push } }: StreamPlan): string {
  const to = push === undefined ? 'pulled by the consumer' : `pushed to ${push.url} (${push.contentMode})`;
  const endpoint = `${hosts.streaming}${profile.path.replace('{path}', path)}`;
  const scopes = [...(profile.token.scopes[''] ?? []), ...(profile.token.scopes[path] ?? [])];
  return [
    `  EventStream ${name}: ${profile.dialect}, class ${profile.streamClass}, ${endpoint}, ${to}\n`,
    ...(scopes.length === 0 ? [] : [`    the OAuth client needs: ${[...new Set(scopes)].join(', ')}\n`]),
  ].join('');
}

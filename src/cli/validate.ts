import { parseArgs } from 'node:util';
import { BY_HAND, networkOf } from '../config/installation.ts';
import { environmentProblems, EXIT_OK, guarded } from './options.ts';
import { readPlans } from './read-plans.ts';

const USAGE = `holdfast validate -f FILE... [--allow-private CIDRS] [--allowed-hosts HOSTS]

Checks configuration files and credential files without connecting to anything. Exit 0: usable. Exit 78: one JSON line
per problem on stderr.
`;

export function main(args: readonly string[]): Promise<number> {
  return guarded(async () => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        file: { type: 'string', short: 'f', multiple: true, default: [] },
        'allow-private': { type: 'string', default: '' },
        'allowed-hosts': { type: 'string', default: '' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return EXIT_OK;
    }
    const network = networkOf(values['allow-private'], values['allowed-hosts']);
    const { plans, warnings } = await readPlans(values.file, environmentProblems(process.env), {
      installation: { ...BY_HAND, ...network },
      passwordFile: undefined,
    });
    for (const warning of warnings) process.stdout.write(`warning: ${warning}\n`);
    for (const plan of plans) {
      process.stdout.write(
        `StreamClient ${plan.name}: ${plan.platform} ${plan.region}, token from ` +
          `${plan.hosts.login}${plan.tokenEndpoint.path}\n`,
      );
      for (const stream of plan.streams) {
        const { profile, delivery } = stream;
        const to =
          delivery.push === undefined
            ? 'pulled by the consumer'
            : `pushed to ${delivery.push.url} (${delivery.push.contentMode})`;
        process.stdout.write(
          `  EventStream ${stream.name}: ${profile.dialect}, class ${profile.streamClass}, ` +
            `${stream.hosts.streaming}${profile.path.replace('{path}', stream.path ?? '')}, ${to}\n`,
        );
        const scopes = [...(profile.token.scopes[''] ?? []), ...(profile.token.scopes[stream.path ?? ''] ?? [])];
        if (scopes.length > 0) process.stdout.write(`    the OAuth client needs: ${[...new Set(scopes)].join(', ')}\n`);
      }
    }
    return EXIT_OK;
  });
}

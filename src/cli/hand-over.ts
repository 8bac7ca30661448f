import { parseArgs } from 'node:util';
import { EXIT_INTERNAL, EXIT_OK, guarded, portOf } from './options.ts';
import { sendAdminRequest } from './admin-request.ts';

const USAGE = `holdfast hand-over CLIENT [--admin-port N]

Asks the sidecar on this machine to give the lease of one StreamClient to another replica. Exit 70 when it does not
lead it or nobody could take it.
`;

export function main(args: readonly string[]): Promise<number> {
  return guarded(async () => {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        'admin-port': { type: 'string', default: '9464' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const [client] = positionals;
    if (!values.help && client !== undefined)
      return sendAdminRequest(
        portOf('--admin-port', values['admin-port']),
        `/hand-over?client=${encodeURIComponent(client)}`,
      );
    process.stdout.write(USAGE);
    return values.help ? EXIT_OK : EXIT_INTERNAL;
  });
}

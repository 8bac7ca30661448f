import { parseArgs } from 'node:util';
import { EXIT_OK, guarded, portOf } from './options.ts';
import { sendAdminRequest } from './admin-request.ts';

const USAGE = `holdfast drain [--admin-port N]

Asks the sidecar on this machine to give all its leases to other replicas, in order: an heir is made ready,
acknowledgements are awaited, then the lease moves. Ends when it is done. Meant for preStop; afterwards the sidecar
holds nothing and waits for SIGTERM.
`;

export function main(args: readonly string[]): Promise<number> {
  return guarded(async () => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        'admin-port': { type: 'string', default: '9464' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (!values.help) return sendAdminRequest(portOf('--admin-port', values['admin-port']), '/drain');
    process.stdout.write(USAGE);
    return EXIT_OK;
  });
}

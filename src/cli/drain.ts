import { command } from './command.ts';
import { portOf } from './options.ts';
import { sendAdminRequest } from './admin-request.ts';

const USAGE = `holdfast drain [--admin-port N]

Asks the sidecar on this machine to give all its leases to other replicas, in order: an heir is made ready,
acknowledgements are awaited, then the lease moves. Ends when it is done. Meant for preStop; afterwards the sidecar
holds nothing and waits for SIGTERM.
`;

export const main = command(
  {
    usage: USAGE,
    options: {
      'admin-port': { type: 'string', default: '9464' },
    },
  },
  async (values) => {
    return sendAdminRequest(portOf('--admin-port', values['admin-port']), '/drain');
  },
);

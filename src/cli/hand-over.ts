import { command } from './command.ts';
import { EXIT_INTERNAL, portOf } from './options.ts';
import { sendAdminRequest } from './admin-request.ts';

const USAGE = `holdfast hand-over CLIENT [--admin-port N]

Asks the sidecar on this machine to give the lease of one StreamClient to another replica. Exit 70 when it does not
lead it or nobody could take it.
`;

export const main = command(
  {
    usage: USAGE,
    words: true,
    options: {
      'admin-port': { type: 'string', default: '9464' },
    },
  },
  async (values, words) => {
    const [client] = words;
    if (client !== undefined)
      return sendAdminRequest(
        portOf('--admin-port', values['admin-port']),
        `/hand-over?client=${encodeURIComponent(client)}`,
      );
    process.stdout.write(USAGE);
    return EXIT_INTERNAL;
  },
);

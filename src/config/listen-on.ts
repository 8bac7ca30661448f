import type { Server } from 'node:net';

/**
 * Begins to listen. `::` means every address; where a node has no IPv6 at all it means every IPv4 address. @throws the
 * error that `listen` reports, with its code.
 */
export async function listenOn(server: Server, port: number, host: string): Promise<void> {
  const begin = (address: string): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, address, () => {
        server.off('error', reject);
        resolve();
      });
    });
  try {
    await begin(host);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (host !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error;
    await begin('0.0.0.0');
  }
}

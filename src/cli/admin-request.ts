import { EXIT_INTERNAL, EXIT_OK } from './options.ts';

/** Longer than any drain budget a sidecar would have. */
const ORDER_LIMIT_MS = 120_000;

/** Sends one order to the sidecar on this machine and waits until it is carried out. @returns an exit code */
export async function sendAdminRequest(port: number, path: string): Promise<number> {
  try {
    const response = await fetch(`http://127.0.0.1:${String(port)}${path}`, {
      method: 'POST',
      signal: AbortSignal.timeout(ORDER_LIMIT_MS),
    });
    (response.ok ? process.stdout : process.stderr).write(await response.text());
    return response.ok ? EXIT_OK : EXIT_INTERNAL;
  } catch {
    process.stderr.write(`no sidecar answers on admin port ${String(port)}; name its port with --admin-port\n`);
    return EXIT_INTERNAL;
  }
}

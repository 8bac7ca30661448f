import { assets, Cluster } from './cluster.ts';

/** A real API server to try things on by hand, until Ctrl-C: node test/kubernetes/up.ts */
const bin = assets();
if (bin === undefined) {
  process.stderr.write('neither KUBEBUILDER_ASSETS nor Go is here\n');
  process.exit(1);
}
const cluster = await Cluster.start(bin);
process.stdout.write(`export KUBECONFIG=${cluster.kubeconfig}\nexport PATH=${bin}:$PATH\n`);
const stop = (): void => {
  void cluster.stop().then(() => process.exit(0));
};
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
setInterval(() => undefined, 60_000);

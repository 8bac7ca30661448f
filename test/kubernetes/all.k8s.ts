import { config } from 'chai';
import { attaching } from './attach.k8s.ts';
import { charting } from './chart.k8s.ts';
import { assets, Cluster } from './cluster.ts';
import { controlling } from './control.k8s.ts';
import { definitions } from './crd.k8s.ts';
import { failing } from './failure.k8s.ts';
import { install } from './plane.ts';

/**
 * Everything that a real API server can prove, on one cluster, in order. Without the parts (no Go, no
 * KUBEBUILDER_ASSETS) this is a loud skip; with HOLDFAST_REQUIRE_APISERVER=1 (CI) a failure.
 */
// What a tool printed is the evidence: all of it is shown.
config.truncateThreshold = 0;

describe('Kubernetes', function () {
  this.timeout(180_000);
  let cluster: Cluster | undefined;
  const of = (): Cluster => {
    if (cluster === undefined) throw new Error('no cluster');
    return cluster;
  };

  before(async function () {
    // The first time the parts are built, which takes as long as it takes.
    this.timeout(0);
    const bin = assets();
    if (bin === undefined) {
      if (process.env['HOLDFAST_REQUIRE_APISERVER'] !== undefined)
        throw new Error('no kube-apiserver: set KUBEBUILDER_ASSETS, or install Go');
      process.stderr.write(
        '\n  SKIPPED: no kube-apiserver here. Set KUBEBUILDER_ASSETS (etcd, kube-apiserver, ' +
          'kube-controller-manager, kubectl, helm3, helm4), or install Go and they are built.\n',
      );
      this.skip();
    }
    cluster = await Cluster.start(bin);
    const done = install(cluster);
    if (done.code !== 0) throw new Error(done.err);
  });
  after(async () => {
    await cluster?.stop();
  });

  definitions(of);
  attaching(of);
  charting(of);
  failing(of);
  controlling(of);
});

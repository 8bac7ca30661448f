/** The house: arrows point down this list only. Each layer may import the ones it names. */
const ALLOWED = {
  core: [],
  platforms: ['core'],
  config: ['core', 'platforms'],
  telemetry: ['core', 'config'],
  upstream: ['core', 'platforms', 'config'],
  coordination: ['core', 'platforms', 'config'],
  delivery: ['core', 'platforms', 'config'],
  simulator: [],
  sidecar: ['core', 'platforms', 'config', 'telemetry', 'upstream', 'coordination', 'delivery'],
  operator: ['core', 'platforms', 'config', 'telemetry', 'coordination'],
  cli: ['core', 'platforms', 'config', 'telemetry', 'upstream', 'coordination', 'delivery', 'sidecar', 'operator', 'simulator'],
};
/** Inside the sidecar, from the highest floor to the lowest: imports point down only. */
const FLOORS = ['replica', 'leadership', 'stream', 'client', 'runtime'];
/** Packages and the only folders that may import them. */
const PACKAGES = {
  ws: ['upstream', 'delivery', 'simulator'],
  undici: ['upstream', 'delivery', 'sidecar'],
  ioredis: ['coordination'],
  redlock: ['coordination'],
  pino: ['telemetry'],
  'prom-client': ['telemetry'],
  zod: ['config'],
  yaml: ['config', 'simulator', 'operator'],
  '@kubernetes/client-node': ['operator'],
  '@peculiar/x509': ['operator'],
  'reflect-metadata': ['operator'],
};
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, path: '^src/', pathNot: '^src/cli/main\\.ts$' }, to: {} },
    ...Object.entries(ALLOWED).map(([layer, allowed]) => ({
      name: `layer-${layer}`,
      severity: 'error',
      from: { path: `^src/${layer}/` },
      to: { path: '^(src|test)/', pathNot: `^src/(${[layer, ...allowed].join('|')})/` },
    })),
    ...FLOORS.slice(1).map((floor, at) => ({
      name: `floor-${floor}`,
      severity: 'error',
      from: { path: `^src/sidecar/${floor}/` },
      to: { path: `^src/sidecar/(${FLOORS.slice(0, at + 1).join('|')})/` },
    })),
    ...Object.entries(PACKAGES).map(([name, layers]) => ({
      name: `package-${name}`,
      severity: 'error',
      from: { path: '^src/', pathNot: `^src/(${layers.join('|')})/` },
      to: { path: `node_modules/${name.replace(/[/-]/g, '.')}/` },
    })),
    { name: 'core-is-pure', severity: 'error', from: { path: '^src/core/' }, to: { dependencyTypes: ['core', 'npm'] } },
  ],
  options: { tsPreCompilationDeps: true, tsConfig: { fileName: 'tsconfig.base.json' }, doNotFollow: { path: 'node_modules' }, enhancedResolveOptions: { extensions: ['.ts', '.js'], conditionNames: ['import', 'require', 'node', 'default'], exportsFields: ['exports'] } },
};

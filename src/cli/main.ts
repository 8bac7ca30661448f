#!/usr/bin/env node
/**
 * The commands of `holdfast`, one file each; this file chooses among them. The only place that constructs the parts
 * that do I/O and wires them together. A command never has rules of its own about streams, leases or documents: it
 * reads options, builds an `Environment` or a client, and calls core, config, sidecar, operator or simulator.
 */

const COMMANDS: Readonly<
  Record<
    string,
    { readonly load: () => Promise<{ main(args: readonly string[]): Promise<number> }>; readonly does: string }
  >
> = {
  run: { load: () => import('./run.ts'), does: 'hold the streams of one or more configuration files' },
  validate: {
    load: () => import('./validate.ts'),
    does: 'check configuration files and credentials, without connecting',
  },
  status: { load: () => import('./status.ts'), does: 'show what a running sidecar does' },
  drain: { load: () => import('./drain.ts'), does: 'give all leases of a running sidecar away (preStop)' },
  'hand-over': { load: () => import('./hand-over.ts'), does: "give one client's lease to another replica" },
  dlq: { load: () => import('./dlq.ts'), does: 'list, show, redrive and purge dead letters' },
  inject: { load: () => import('./inject.ts'), does: 'attach the sidecar to workloads in YAML, without a webhook' },
  injector: { load: () => import('./injector.ts'), does: 'the admission webhook of the control plane' },
  controller: { load: () => import('./controller.ts'), does: 'the controller of the control plane' },
  check: { load: () => import('./check.ts'), does: 'look whether an installation in a cluster works' },
  simulate: { load: () => import('./simulate.ts'), does: 'play the platforms, faithful or misbehaving' },
  demo: {
    load: () => import('./demo.ts'),
    does: 'simulator, sidecar and consumer together, with faults, live in the terminal',
  },
};

const USAGE = `holdfast: holds contact-centre event streams for the container beside it

usage: holdfast COMMAND [options]

${Object.entries(COMMANDS)
  .map(([name, { does }]) => `  ${name.padEnd(11)} ${does}`)
  .join('\n')}

holdfast COMMAND --help tells more.
`;

/** The oldest Node the program runs on; older ones lack parts it uses at import. */
const NODE_MIN = [22, 19] as const;

function nodeTooOld(): string | undefined {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const old = major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1]);
  return old
    ? `HF_RUNTIME_NODE: holdfast needs Node ${NODE_MIN.join('.')} or newer and this is ` +
        `${process.versions.node}; use "npm run holdfast --" (it brings its own) or install a newer Node`
    : undefined;
}

async function start(): Promise<void> {
  const old = nodeTooOld();
  if (old !== undefined) {
    process.stderr.write(`${old}\n`);
    process.exitCode = 78;
    return;
  }
  const [name = '--help', ...args] = process.argv.slice(2);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    process.exitCode = help(name);
    return;
  }
  const code = await (await command.load()).main(args);
  // A refusal must end the process whatever was opened before it.
  if (code === 0) process.exitCode = 0;
  else process.exit(code);
}

/** Answers a word that is no command. @returns the exit code: 0 when help was asked for. */
function help(word: string): number {
  if (['--help', '-h', 'help'].includes(word)) {
    process.stdout.write(USAGE);
    return 0;
  }
  process.stderr.write(`holdfast: unknown command "${word}"\n\n${USAGE}`);
  return 78;
}

await start();

import { loadScenario, play } from '../simulator/scenario.ts';
import { Simulator } from '../simulator/simulator.ts';
import { SIM_CLIENT } from '../simulator/token-office.ts';
import { command } from './command.ts';
import { EXIT_OK, numberOf, portOf } from './options.ts';
import { stopSignal } from './stop-signal.ts';

const USAGE = `holdfast simulate [options]: both platforms on one loopback port, for tests and for your own consumer

  --port N            default 9470; 0 = any free port, printed as {"listening":{"simulator":N}}
  --rate N            events per second on every stream that was connected to once (default 10)
  --size BYTES        of one event (default 512)
  --keys N            different conversations (default 50)
  --skew N            1: every conversation has as many events; 2: of 50 the busiest has a seventh of them (default 2)
  --token-life SECS   default 3600
  --history FILE      what was generated, sent, accepted and refused, as JSON lines
  --scenario FILE     YAML list of {at: SECONDS, do: …}; the same commands as POST /control (docs/simulator.md)

Use http://127.0.0.1:PORT for hosts.login and hosts.api, ws://127.0.0.1:PORT for hosts.streaming, and the credentials
clientId ${SIM_CLIENT.clientId}, clientSecret ${SIM_CLIENT.clientSecret}.
`;

export const main = command(
  {
    usage: USAGE,
    options: {
      port: { type: 'string', default: '9470' },
      rate: { type: 'string', default: '10' },
      size: { type: 'string', default: '512' },
      keys: { type: 'string', default: '50' },
      skew: { type: 'string', default: '2' },
      'token-life': { type: 'string', default: '3600' },
      history: { type: 'string' },
      scenario: { type: 'string' },
    },
  },
  async (values) => {
    const sim = new Simulator({
      port: portOf('--port', values.port),
      rate: numberOf('--rate', values.rate, 0),
      size: numberOf('--size', values.size, 1),
      keys: numberOf('--keys', values.keys, 1),
      skew: numberOf('--skew', values.skew, 1),
      historyFile: values.history,
    });
    sim.office.lifeMs = numberOf('--token-life', values['token-life'], 1) * 1000;
    const port = await sim.listen();
    process.stdout.write(`${JSON.stringify({ listening: { simulator: port } })}\n`);
    const stop =
      values.scenario === undefined
        ? () => undefined
        : play(sim, loadScenario(values.scenario), (step) =>
            process.stdout.write(`${JSON.stringify({ scenario: step })}\n`),
          );
    await stopSignal();
    stop();
    await sim.close();
    return EXIT_OK;
  },
);

import { createHash } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { expect } from 'chai';
import type { Failure } from '../../src/core/session/classify-failure.ts';
import { StreamSocket, type SocketHandlers } from '../../src/upstream/stream-socket.ts';
import { until } from '../support/until.ts';

/** Speaks WebSocket byte by byte, so that it can also speak it wrongly. */
class RawServer {
  readonly server: Server;
  port = 0;
  constructor(answer: (socket: Socket, key: string) => void) {
    this.server = createServer((socket) => {
      let text = '';
      const onData = (chunk: Buffer): void => {
        text += chunk.toString('latin1');
        if (!text.includes('\r\n\r\n')) return;
        socket.off('data', onData);
        socket.on('data', () => undefined);
        answer(socket, /sec-websocket-key: (.*)\r\n/i.exec(text)?.[1] ?? '');
      };
      socket.on('data', onData);
      socket.on('error', () => undefined);
    });
  }
  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }
}

const accept = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const upgrade = (key: string, more = ''): string =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ` +
  `${accept(key)}\r\n${more}\r\n`;
/** One frame: first byte, payload, and optionally a false length or a mask. */
const frame = (first: number, payload: Buffer | string = ''): Buffer => {
  const body = Buffer.from(payload);
  const head =
    body.length < 126
      ? Buffer.from([first, body.length])
      : body.length < 65_536
        ? Buffer.from([first, 126, body.length >> 8, body.length & 255])
        : Buffer.concat([
            Buffer.from([first, 127, 0, 0, 0, 0]),
            Buffer.from([body.length >>> 24, (body.length >> 16) & 255, (body.length >> 8) & 255, body.length & 255]),
          ]);
  return Buffer.concat([head, body]);
};
const TEXT = 0x81;

interface Outcome {
  opened: boolean;
  readonly messages: Buffer[];
  failure: Failure | undefined;
  text: string;
}

async function meet(
  answer: (socket: Socket, key: string) => void,
  done: (outcome: Outcome) => boolean,
): Promise<Outcome> {
  const raw = await new RawServer(answer).listen();
  const outcome: Outcome = { opened: false, messages: [], failure: undefined, text: '' };
  const handlers: SocketHandlers = {
    opened: () => {
      outcome.opened = true;
    },
    message: (data) => outcome.messages.push(data),
    serverPing: () => undefined,
    pong: () => undefined,
    ended: (failure, detail) => {
      expect(outcome.failure, 'ended is said once').to.equal(undefined);
      outcome.failure = failure;
      outcome.text = detail.text;
    },
  };
  const socket = new StreamSocket(
    { url: `ws://127.0.0.1:${String(raw.port)}/?access_token=canary-token-123456`, headers: {}, subprotocols: [] },
    {
      loopback: true,
      allowPrivate: [],
      closeTimeoutMs: 300,
      nowMs: () => performance.now(),
      nowEpochMs: () => Date.now(),
    },
    handlers,
  );
  try {
    await until('the outcome is there', () => done(outcome), 5000);
  } finally {
    socket.terminate();
    raw.server.close();
  }
  expect(outcome.text, 'no token in the text').to.not.include('canary-token');
  return outcome;
}

const ended = (outcome: Outcome): boolean => outcome.failure !== undefined;
const sends =
  (...frames: readonly Buffer[]) =>
  (socket: Socket, key: string): void => {
    socket.write(Buffer.concat([Buffer.from(upgrade(key)), ...frames]));
  };

describe("broken frames end the link with the library's code (reliability 5.1)", () => {
  const big = Buffer.alloc(2 * 1024 * 1024, 0x61);
  const cases: Readonly<Record<string, readonly [string, readonly Buffer[]]>> = {
    '1 masked server frame': ['WS_ERR_UNEXPECTED_MASK', [Buffer.from([TEXT, 0x81, 1, 2, 3, 4, 5])]],
    '2 RSV1 without extension': ['WS_ERR_UNEXPECTED_RSV_1', [frame(0xc1, 'a')]],
    '3 RSV2': ['WS_ERR_UNEXPECTED_RSV_2_3', [frame(0xa1, 'a')]],
    '4 opcode 3': ['WS_ERR_INVALID_OPCODE', [frame(0x83, 'a')]],
    '5 control opcode 0xB': ['WS_ERR_INVALID_OPCODE', [frame(0x8b)]],
    '6 ping of 126 bytes': ['WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH', [frame(0x89, Buffer.alloc(126))]],
    '7 fragmented ping': ['WS_ERR_EXPECTED_FIN', [frame(0x09)]],
    '8 continuation without start': ['WS_ERR_INVALID_OPCODE', [frame(0x80, 'a')]],
    '9 new text inside a fragmented one': ['WS_ERR_INVALID_OPCODE', [frame(0x01, 'a'), frame(TEXT, 'b')]],
    '10 invalid UTF-8': ['WS_ERR_INVALID_UTF8', [frame(TEXT, Buffer.from([0xff, 0xfe]))]],
    '12 length with the top bit': [
      'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
      [Buffer.from([TEXT, 127, 0x80, 0, 0, 0, 0, 0, 0, 0])],
    ],
    '13 announced 2 MiB': ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', [frame(TEXT, big).subarray(0, 20)]],
    '14 fragments summing over the limit': [
      'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
      [frame(0x01, big.subarray(0, 900_000)), frame(0x80, big.subarray(0, 900_000))],
    ],
    '15 2,000 one-byte fragments': [
      'WS_ERR_TOO_MANY_BUFFERED_PARTS',
      [frame(0x01, 'a'), ...Array.from({ length: 2000 }, () => frame(0x00, 'a'))],
    ],
    '16 close with a 1-byte body': ['WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH', [frame(0x88, 'a')]],
    '22 close reason not UTF-8': ['WS_ERR_INVALID_UTF8', [frame(0x88, Buffer.from([0x03, 0xe8, 0xff]))]],
  };
  for (const [name, [code, frames]] of Object.entries(cases)) {
    it(name, async () => {
      const outcome = await meet(sends(...frames), ended);
      expect(outcome.failure).to.deep.include({ stage: 'stream', error: code });
    });
  }
  for (const code of [999, 1005, 1006, 1016, 5000, 401]) {
    it(`17-21 close ${String(code)}: the refused number is reported`, async () => {
      const outcome = await meet(sends(frame(0x88, Buffer.from([code >> 8, code & 255]))), ended);
      expect(outcome.failure).to.deep.include({ stage: 'stream', closeCode: code });
    });
  }
  it('11 a character cut over two fragments is valid', async () => {
    const text = Buffer.from('é');
    const outcome = await meet(
      sends(frame(0x01, text.subarray(0, 1)), frame(0x80, text.subarray(1))),
      (one) => one.messages.length === 1,
    );
    expect(outcome.messages[0]?.toString()).to.equal('é');
  });
  it('23 data after close is ignored; 24 half a frame, then FIN, is 1006', async () => {
    const closed = await meet(sends(frame(0x88, Buffer.from([0x03, 0xe8])), frame(TEXT, 'late')), ended);
    expect([closed.failure?.closeCode, closed.messages.length]).to.deep.equal([1000, 0]);
    const cut = await meet((socket, key) => {
      socket.end(Buffer.concat([Buffer.from(upgrade(key)), frame(TEXT, 'hello').subarray(0, 4)]));
    }, ended);
    expect(cut.failure?.closeCode).to.equal(1006);
  });
  it('47 a payload just under the limit is delivered', async () => {
    const outcome = await meet(
      sends(frame(TEXT, Buffer.alloc(1024 * 1024 - 1, 0x61))),
      (one) => one.messages.length === 1,
    );
    expect(outcome.messages[0]?.length).to.equal(1024 * 1024 - 1);
  });
  const handshakes: Readonly<Record<string, string>> = {
    '28 an extension nobody offered': 'Sec-WebSocket-Extensions: permessage-deflate\r\n',
    '29 a subprotocol nobody asked for': 'Sec-WebSocket-Protocol: other\r\n',
  };
  for (const [name, header] of Object.entries(handshakes)) {
    it(`${name} is a failed handshake`, async () => {
      const outcome = await meet((socket, key) => {
        socket.write(upgrade(key, header));
      }, ended);
      expect(outcome).to.deep.include({ opened: false });
      expect(outcome.failure?.stage).to.equal('dial');
    });
  }
  it('30 wrong accept hash, not HTTP, and huge headers are failed handshakes', async () => {
    for (const answer of [upgrade('wrong'), 'hello\r\n\r\n', `HTTP/1.1 101 X\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`]) {
      const outcome = await meet((socket) => {
        socket.write(answer);
      }, ended);
      expect([outcome.opened, outcome.failure?.stage]).to.deep.equal([false, 'dial']);
    }
  });
  it('32, 33 a redirect is not followed and HTML is not read on', async () => {
    const redirect = await meet((socket) => {
      socket.write('HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n');
    }, ended);
    expect(redirect.failure).to.deep.include({ stage: 'upgrade', status: 302 });
    const html = await meet((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n${'<p>'.repeat(4000)}`);
    }, ended);
    expect(html.failure).to.deep.include({ stage: 'upgrade', status: 200 });
  });
  it('91 reads Retry-After in both forms and clamps it', async () => {
    for (const [header, expected] of [
      ['7', 7000],
      ['1000000000', 900_000],
      ['-1', 1000],
      ['abc', undefined],
    ] as const) {
      const outcome = await meet((socket) => {
        socket.write(`HTTP/1.1 429 X\r\nretry-after: ${header}\r\ncontent-length: 0\r\n\r\n`);
      }, ended);
      expect(outcome.failure?.retryAfterMs, header).to.equal(expected);
    }
  });
});

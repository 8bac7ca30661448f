import type { ServerResponse } from 'node:http';
import type { ErrorCode } from '../core/errors.ts';

/** Sends RFC 9457 problem JSON. `code` is stable; `detail` tells the remedy. */
export function sendProblem(
  response: ServerResponse,
  status: number,
  code: ErrorCode,
  detail: string | { readonly detail: string; readonly [more: string]: unknown },
): void {
  if (response.headersSent) {
    response.end();
    return;
  }
  sendJson(
    response,
    status,
    {
      type: `https://holdfast.dev/errors/${code}`,
      title: TITLES[status] ?? 'Error',
      status,
      code,
      ...(typeof detail === 'string' ? { detail } : detail),
    },
    'application/problem+json',
  );
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Content too large',
  429: 'Too many requests',
  503: 'Unavailable',
};

/** Sends a body as JSON. */
export function sendJson(response: ServerResponse, status: number, body: unknown, type = 'application/json'): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
}

import type { Agent } from 'undici';
import { PRIVATE_ADDRESS } from '../config/private-addresses.ts';
import type { ClientPlan } from '../config/plan.ts';
import { HoldfastError } from '../core/errors.ts';
import { checkToken, type Credentials } from './credentials.ts';
import { call, retryAfterMs, type HttpAnswer } from './http-client.ts';

export interface FetchedToken {
  readonly accessToken: string;
  /** Life from the moment of asking, within the plan's bounds. */
  readonly lifeMs: number;
  /** Replaces the old one; keep it before the access token is used. */
  readonly refreshToken: string | undefined;
  /** Server date minus our wall clock; undefined without a Date header. */
  readonly skewMs: number | undefined;
  /** Oddity of the answer, for one warning. */
  readonly oddity: string | undefined;
}

/** S1: seconds to wait on 429 when the answer does not say. */
const THROTTLED_DEFAULT_MS = 5000;

/**
 * Asks the token endpoint. The grant is refresh_token where there is one, else client_credentials; a refresh token that
 * is no longer good falls back to client_credentials where a secret exists (A7).
 * @throws HoldfastError HF_TOKEN_CREDENTIALS, HF_TOKEN_GRANT, HF_TOKEN_FORBIDDEN, HF_TOKEN_THROTTLED
 * (details.retryAfterMs), HF_TOKEN_ANSWER, HF_TOKEN_UNREACHABLE, HF_PRIVATE_ADDRESS
 */
export async function fetchToken(
  agent: Agent,
  plan: ClientPlan,
  credentials: Credentials,
  nowEpochMs: () => number,
): Promise<FetchedToken> {
  if (credentials.refreshToken === undefined)
    return askToken(agent, plan, clientCredentials(plan, credentials), nowEpochMs);
  try {
    return await askToken(agent, plan, refreshGrant(credentials, credentials.refreshToken), nowEpochMs);
  } catch (error) {
    const refused =
      error instanceof HoldfastError && (error.code === 'HF_TOKEN_CREDENTIALS' || error.code === 'HF_TOKEN_GRANT');
    if (!refused || credentials.clientSecret === undefined) throw error;
    return askToken(agent, plan, clientCredentials(plan, credentials), nowEpochMs);
  }
}

interface Grant {
  readonly fields: Readonly<Record<string, string>>;
  readonly basic: string | undefined;
}

function clientCredentials(plan: ClientPlan, { clientId, clientSecret }: Credentials): Grant {
  if (clientSecret === undefined)
    throw new HoldfastError('HF_TOKEN_CREDENTIALS', 'there is no clientSecret file for the client_credentials grant');
  const scope = plan.credentials.scopes.length === 0 ? {} : { scope: plan.credentials.scopes.join(' ') };
  if (plan.tokenEndpoint.body === 'json')
    return {
      fields: { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, ...scope },
      basic: undefined,
    };
  return {
    fields: { grant_type: 'client_credentials', ...scope },
    basic: Buffer.from(`${clientId}:${clientSecret}`).toString('base64'),
  };
}

function refreshGrant({ clientId, clientSecret }: Credentials, refreshToken: string): Grant {
  const secret = clientSecret === undefined ? {} : { client_secret: clientSecret };
  return {
    fields: { grant_type: 'refresh_token', refresh_token: refreshToken, client_id: clientId, ...secret },
    basic: undefined,
  };
}

/** Exchanges CXone's running real-time token by REST, before it is injected (T7). */
export async function refreshByRest(
  agent: Agent,
  plan: ClientPlan,
  {
    path,
    oldToken,
    credentials,
  }: { readonly path: string; readonly oldToken: string; readonly credentials: Credentials },
  nowEpochMs: () => number,
): Promise<FetchedToken> {
  const { clientId, clientSecret, refreshToken } = credentials;
  const fields = {
    grant_type: refreshToken === undefined ? 'client_credentials' : 'refresh_token',
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    client_id: clientId,
    ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
  };
  const answer = await send(
    agent,
    plan.hosts.api + path,
    { authorization: `Bearer ${oldToken}`, 'content-type': 'application/json' },
    JSON.stringify(fields),
  );
  return readToken(plan, answer, nowEpochMs());
}

async function askToken(agent: Agent, plan: ClientPlan, grant: Grant, nowEpochMs: () => number): Promise<FetchedToken> {
  const json = plan.tokenEndpoint.body === 'json';
  const body = json ? JSON.stringify(grant.fields) : new URLSearchParams(grant.fields).toString();
  const headers = {
    'content-type': json ? 'application/json' : 'application/x-www-form-urlencoded',
    ...(grant.basic === undefined ? {} : { authorization: `Basic ${grant.basic}` }),
  };
  return readToken(plan, await send(agent, plan.hosts.login + plan.tokenEndpoint.path, headers, body), nowEpochMs());
}

async function send(
  agent: Agent,
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<HttpAnswer> {
  try {
    return await call(agent, url, { method: 'POST', headers, body });
  } catch (error) {
    if (error instanceof HoldfastError && error.code === PRIVATE_ADDRESS) throw error;
    throw new HoldfastError(
      'HF_TOKEN_UNREACHABLE',
      error instanceof Error ? error.message : 'the token endpoint did not answer',
      { cause: error },
    );
  }
}

function readToken(plan: ClientPlan, answer: HttpAnswer, nowEpochMs: number): FetchedToken {
  const fields = parseObject(answer.body);
  if (answer.status !== 200) throw refused(answer, fields, nowEpochMs);
  if (fields === undefined)
    throw new HoldfastError('HF_TOKEN_ANSWER', 'the token endpoint answered 200 without a JSON object');
  const accessToken = checkToken(fields['access_token']);
  const type = fields['token_type'];
  if (typeof type === 'string' && type.toLowerCase() !== 'bearer')
    throw new HoldfastError(
      'HF_TOKEN_ANSWER',
      `the token endpoint gave a token of type ${type.slice(0, 20)}, not bearer`,
    );
  const refresh = fields['refresh_token'];
  const date = Date.parse(String(answer.headers['date'] ?? ''));
  const skewMs = Number.isFinite(date) ? date - nowEpochMs : undefined;
  const life = lifeOf(plan, fields['expires_in'], accessToken, nowEpochMs + (skewMs ?? 0));
  return {
    accessToken,
    refreshToken: typeof refresh === 'string' && refresh !== '' ? refresh : undefined,
    skewMs,
    ...life,
  };
}

/**
 * Returns the error for a refusal. 400 invalid_client, 400 invalid_grant, 401, 403 and 429 are different conditions;
 * any other is the endpoint's trouble.
 */
function refused(
  answer: HttpAnswer,
  fields: Readonly<Record<string, unknown>> | undefined,
  nowEpochMs: number,
): HoldfastError {
  const stated = fields?.['error'];
  const error = (typeof stated === 'string' ? stated : '').replace(/[^a-z_.]/gi, '').slice(0, 60);
  const details = { status: answer.status, error };
  if (answer.status === 429) {
    return new HoldfastError('HF_TOKEN_THROTTLED', 'the token endpoint limits our rate', {
      details: {
        ...details,
        retryAfterMs: retryAfterMs(answer.headers['retry-after'], nowEpochMs) ?? THROTTLED_DEFAULT_MS,
      },
    });
  }
  if (answer.status === 403)
    return new HoldfastError('HF_TOKEN_FORBIDDEN', 'the token endpoint refuses the scopes of this client (403)', {
      details,
    });
  if (error === 'invalid_grant')
    return new HoldfastError(
      'HF_TOKEN_GRANT',
      'the token endpoint refuses the grant: the refresh token is used up or revoked',
      { details },
    );
  if (answer.status === 401 || answer.status === 400)
    return new HoldfastError(
      'HF_TOKEN_CREDENTIALS',
      `the token endpoint refuses the credentials (${String(answer.status)} ${error})`,
      { details },
    );
  return new HoldfastError('HF_TOKEN_UNREACHABLE', `the token endpoint answered ${String(answer.status)}`, { details });
}

function parseObject(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined; // HTML, empty, truncated: all the same to us
  }
}

function lifeOf(
  plan: ClientPlan,
  expiresIn: unknown,
  accessToken: string,
  serverNowMs: number,
): { readonly lifeMs: number; readonly oddity: string | undefined } {
  const seconds = secondsOf(expiresIn);
  const stated = seconds > 0 ? seconds * 1000 : undefined;
  const hinted = jwtExpiry(accessToken);
  const byHint = hinted !== undefined && hinted > serverNowMs ? hinted - serverNowMs : undefined;
  const life = Math.min(stated ?? byHint ?? plan.tokenEndpoint.fallbackLifeMs, byHint ?? Infinity);
  const lifeMs = Math.min(plan.lifeBounds.maxMs, Math.max(plan.lifeBounds.minMs, life));
  if (stated === undefined) return { lifeMs, oddity: 'expires_in is absent or not a positive number' };
  return { lifeMs, oddity: life === lifeMs ? undefined : 'expires_in is outside the believable range' };
}

/** Reads `expires_in` as a number or as digits in a string; NaN: anything else. */
function secondsOf(expiresIn: unknown): number {
  if (typeof expiresIn === 'number') return expiresIn;
  return typeof expiresIn === 'string' && /^\d+$/.test(expiresIn) ? Number(expiresIn) : Number.NaN;
}

/** Reads `exp` of a JWT as a hint; the token stays opaque and its signature is not checked here. */
function jwtExpiry(token: string): number | undefined {
  const part = token.split('.')[1];
  if (part === undefined || token.split('.').length !== 3) return undefined;
  const exp = parseObject(Buffer.from(part, 'base64url').toString('utf8'))?.['exp'];
  return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : undefined;
}

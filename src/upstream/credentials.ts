import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClientPlan } from '../config/plan.ts';
import { HoldfastError } from '../core/errors.ts';
import { SecretRegistry } from '../core/secret-registry.ts';

/** Largest credential file. */
const MAX_FILE_BYTES = 65_536;
/** Longest access token: it travels in a header or a URL. */
const MAX_TOKEN_CHARS = 16_384;
const PLACEHOLDER = /^(your[-_ ]|<.*>$|changeme|change_me|replace[-_ ]?me|xxx+$|todo$)/i;

export interface Credentials {
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  readonly refreshToken: string | undefined;
}

export interface CredentialProblem {
  readonly file: string;
  readonly rule: string;
}

/**
 * Reads the credential files as they are now; Kubernetes swaps them while we run.
 * @returns their content, or every file that is wrong and why. Values never appear in a rule.
 */
export async function readCredentials(
  plan: ClientPlan,
): Promise<{ readonly credentials: Credentials } | { readonly problems: readonly CredentialProblem[] }> {
  const { directory, keys, grant } = plan.credentials;
  if (directory === undefined) return { problems: [{ file: 'credentials.directory', rule: 'is not set' }] };
  const problems: CredentialProblem[] = [];
  const read = async (name: string, mandatory: boolean): Promise<string | undefined> => {
    const file = join(directory, name);
    const result = await readSecret(file);
    if ('value' in result && (name === keys.clientId || result.value.length >= SecretRegistry.MIN_LENGTH))
      return result.value;
    if ('value' in result) {
      problems.push({
        file,
        rule: `is shorter than ${String(SecretRegistry.MIN_LENGTH)} characters: it could not be kept out of logs`,
      });
      return undefined;
    }
    if (mandatory || result.rule !== ABSENT) problems.push({ file, rule: result.rule });
    return undefined;
  };
  const clientId = await read(keys.clientId, true);
  const refreshToken = await read(keys.refreshToken, grant === 'RefreshToken');
  const clientSecret = await read(
    keys.clientSecret,
    grant === 'ClientCredentials' || (grant === 'Auto' && refreshToken === undefined),
  );
  if (problems.length > 0 || clientId === undefined) return { problems };
  return {
    credentials: { clientId, clientSecret, refreshToken: grant === 'ClientCredentials' ? undefined : refreshToken },
  };
}

const ABSENT = 'does not exist';

/** Reads one secret file: UTF-8, one line, one trailing newline allowed. */
export async function readSecret(file: string): Promise<{ readonly value: string } | { readonly rule: string }> {
  let bytes: Buffer;
  try {
    const info = await stat(file);
    if (info.isDirectory()) return { rule: 'is a directory' };
    if (info.size > MAX_FILE_BYTES) return { rule: `is larger than ${String(MAX_FILE_BYTES)} bytes` };
    bytes = await readFile(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return {
      rule: code === 'ENOENT' ? ABSENT : code === 'ELOOP' ? 'is a symbolic link loop' : `cannot be read (${code})`,
    };
  }
  const rule = brokenRule(bytes);
  return rule === undefined ? { value: bytes.toString('utf8').replace(/\r?\n$/, '') } : { rule };
}

function brokenRule(bytes: Buffer): string | undefined {
  if (bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    return 'begins with a byte order mark; save it without';
  const text = bytes.toString('utf8');
  if (text.includes('\ufffd')) return 'is not UTF-8';
  const value = text.replace(/\r?\n$/, '');
  if (value.trim() === '') return 'is empty';
  if (/[\s\u0000-\u001f\u007f]/.test(value))
    return 'contains white space or control characters; it must be one value on one line';
  return PLACEHOLDER.test(value) ? 'holds a placeholder, not a credential' : undefined;
}

/** Returns a text that changes whenever a credential file is replaced or rewritten; compared, never shown. */
export async function credentialsVersion(plan: ClientPlan): Promise<string> {
  const { directory, keys } = plan.credentials;
  if (directory === undefined) return '';
  const parts = await Promise.all(
    Object.values(keys).map(async (name) => {
      try {
        const info = await stat(join(directory, name));
        return `${String(info.ino)}:${String(info.mtimeMs)}:${String(info.size)}`;
      } catch {
        return '-'; // absent is a version too
      }
    }),
  );
  return parts.join(',');
}

/** Refuses a token before anything uses it: it travels in a header or a URL. */
export function checkToken(token: unknown): string {
  if (typeof token !== 'string' || token === '')
    throw new HoldfastError('HF_TOKEN_ANSWER', 'the answer has no access_token');
  if (token.length > MAX_TOKEN_CHARS)
    throw new HoldfastError('HF_TOKEN_ANSWER', `the access token is longer than ${String(MAX_TOKEN_CHARS)} characters`);
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new HoldfastError('HF_TOKEN_ANSWER', 'the access token contains white space or characters outside ASCII');
  return token;
}

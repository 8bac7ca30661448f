import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/**
 * Seals a value for a store that others can read (AES-256-GCM). The key is derived from the OAuth client's own secret
 * and never stored.
 * @param secret source of the key; each reader who may use the sealed value has it anyway.
 */
export function seal(value: string, secret: string, context: string): string {
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret, salt, context), nonce);
  const body = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
  return `v1.${Buffer.concat([salt, nonce, cipher.getAuthTag(), body]).toString('base64url')}`;
}

/** Opens a seal. @returns undefined when it is broken or another secret made it. */
export function unseal(sealed: string, secret: string, context: string): string | undefined {
  if (!sealed.startsWith('v1.')) return undefined;
  const bytes = Buffer.from(sealed.slice(3), 'base64url');
  if (bytes.length < 44) return undefined;
  try {
    const decipher = createDecipheriv(
      'aes-256-gcm',
      keyOf(secret, bytes.subarray(0, 16), context),
      bytes.subarray(16, 28),
    );
    decipher.setAuthTag(bytes.subarray(28, 44));
    return Buffer.concat([decipher.update(bytes.subarray(44)), decipher.final()]).toString('utf8');
  } catch {
    return undefined; // the tag does not match: not ours to read
  }
}

function keyOf(secret: string, salt: Buffer, context: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, `holdfast:${context}`, 32));
}

import { SecretRegistry } from '../core/secret-registry.ts';

/** Creates the registry that every sink of this process scrubs with. */
export function createSecrets(): SecretRegistry {
  return new SecretRegistry((value) => [
    Buffer.from(value).toString('base64').replace(/=+$/, ''),
    Buffer.from(value).toString('base64url'),
  ]);
}

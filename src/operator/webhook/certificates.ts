// Asked for by @peculiar/x509.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Clocks of the API server and ours may differ by this. */
export const BACKDATE_MS = 3_600_000;

/** The injector's own certificate, and the authorities that its callers must trust. PEM. */
export interface Certificates {
  /** The authority that signed the leaf, and the one before it while its leaf may still be served. */
  readonly bundle: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly notAfterMs: number;
  readonly madeMs: number;
}

/**
 * Issues a new authority and a leaf for the given names. The authority's key is thrown away: each rotation makes
 * another one, so that nothing worth stealing lies in the cluster.
 * @param previousCa kept in the bundle, so that a replica that still serves the old leaf is trusted.
 */
export async function issue(
  names: readonly string[],
  { nowMs, lifeMs, previousCa }: { readonly nowMs: number; readonly lifeMs: number; readonly previousCa: string },
): Promise<Certificates> {
  const { subtle } = webcrypto;
  const caKeys = await subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const leafKeys = await subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const dates = { notBefore: new Date(nowMs - BACKDATE_MS), notAfter: new Date(nowMs + lifeMs) };
  const serial = (): string =>
    Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
      .toString('hex')
      .replace(/^./, '1');
  const caName = `CN=holdfast-injector-ca-${serial().slice(0, 8)}`;
  const ca = await X509CertificateGenerator.create({
    ...dates,
    serialNumber: serial(),
    subject: caName,
    issuer: caName,
    publicKey: caKeys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const leaf = await X509CertificateGenerator.create({
    ...dates,
    serialNumber: serial(),
    subject: 'CN=holdfast-injector',
    issuer: caName,
    publicKey: leafKeys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((name) => ({ type: /^[\d.]+$|:/.test(name) ? 'ip' : 'dns', value: name }) as const),
      ),
      await AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const key = Buffer.from(await subtle.exportKey('pkcs8', leafKeys.privateKey))
    .toString('base64')
    .replace(/.{64}/g, '$&\n');
  const pem = (text: string): string => `${text.trimEnd()}\n`;
  return {
    ca: pem(ca.toString('pem')),
    bundle: pem(ca.toString('pem')) + (previousCa === '' ? '' : pem(previousCa)),
    cert: pem(leaf.toString('pem')),
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
    notAfterMs: dates.notAfter.getTime(),
    madeMs: nowMs,
  };
}

import { expect } from 'chai';
import { seal, unseal } from '../../src/coordination/sealed-value.ts';

const SALT_BYTES = 16;
const NONCE_BYTES = 12;

describe('sealed values', () => {
  // Survivor of the mutants by hand: constant salt and nonce.
  it('two seals of one value share neither salt nor nonce', () => {
    const seals = [1, 2].map(() => Buffer.from(seal('value', 'secret', 'c').slice(3), 'base64url'));
    const part = (from: number, bytes: number): string[] =>
      seals.map((one) => one.subarray(from, from + bytes).toString('hex'));
    expect(new Set(part(0, SALT_BYTES)).size, 'salt').to.equal(2);
    expect(new Set(part(SALT_BYTES, NONCE_BYTES)).size, 'nonce').to.equal(2);
  });

  it('are read with the same secret in the same context only, and not when one bit differs', () => {
    const sealed = seal('value ü', 'secret', 'c');
    expect(unseal(sealed, 'secret', 'c')).to.equal('value ü');
    expect(unseal(sealed, 'other', 'c')).to.equal(undefined);
    expect(unseal(sealed, 'secret', 'd')).to.equal(undefined);
    for (const at of [0, SALT_BYTES, SALT_BYTES + NONCE_BYTES, 44]) {
      const bytes = Buffer.from(sealed.slice(3), 'base64url');
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      expect(unseal(`v1.${bytes.toString('base64url')}`, 'secret', 'c'), String(at)).to.equal(undefined);
    }
    expect(unseal(sealed.slice(0, 20), 'secret', 'c')).to.equal(undefined);
  });
});

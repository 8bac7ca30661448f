import { X509Certificate } from 'node:crypto';
import { ApiError, type Kube } from '../api/kube.ts';
import { BACKDATE_MS, issue, type Certificates } from './certificates.ts';

export interface RotationSettings {
  readonly namespace: string;
  readonly secret: string;
  readonly webhook: string;
  /** Names under which the API server calls us. */
  readonly names: readonly string[];
  readonly lifeMs: number;
  /**
   * Interval at which both replicas look whether the other one rotated, and whether the configuration still trusts us.
   */
  readonly everyMs: number;
}

/**
 * An old leaf is served on for this long after the bundle names the new authority: the API server must have read it.
 */
const SETTLE_MS = 5000;
/** Pause between two looks while there is no certificate to serve with yet. */
const FIRST_LOOK_EVERY_MS = 1000;

interface Secret {
  readonly metadata: { readonly resourceVersion: string };
  readonly data?: Readonly<Record<string, string>>;
}

/**
 * Keeps the injector's certificates: in one Secret that its replicas share, in the webhook configuration that trusts
 * them, and in the server. Rotation: store the new pair, let the configuration trust old and new, and only then serve
 * the new one. No other Secret is read.
 */
export class CertificateRotation {
  readonly #kube: Kube;
  readonly #settings: RotationSettings;
  readonly #clock: { readonly nowEpochMs: () => number };
  readonly #serve: (certificates: Certificates) => void;
  #serving = '';
  #busy = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  onTrouble: (error: unknown) => void = () => undefined;
  notAfterMs = 0;

  constructor(
    kube: Kube,
    settings: RotationSettings,
    clock: { readonly nowEpochMs: () => number },
    serve: (certificates: Certificates) => void,
  ) {
    this.#kube = kube;
    this.#settings = settings;
    this.#clock = clock;
    this.#serve = serve;
  }

  /** Resolves when there is a certificate to serve; goes on looking until `stop`. */
  async start(): Promise<void> {
    for (await this.#look(); !this.#served && !this.#stopped; await this.#look())
      await new Promise((resolve) => setTimeout(resolve, FIRST_LOOK_EVERY_MS));
    this.#timer = setInterval(() => {
      void this.#look();
    }, this.#settings.everyMs);
    this.#timer.unref();
  }

  get #path(): string {
    return `/api/v1/namespaces/${this.#settings.namespace}/secrets/${this.#settings.secret}`;
  }

  get #served(): boolean {
    return this.#serving !== '';
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  /** Looks once, never twice at a time: a rotation takes longer than the time between two looks. */
  async #look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      await this.#round();
    } catch (error) {
      this.onTrouble(error);
    } finally {
      this.#busy = false;
    }
  }

  async #round(): Promise<void> {
    const stored = await this.#stored();
    if (stored === undefined) throw new Error('the Secret with the certificates cannot be read');
    await this.#trust(stored);
    if (stored.cert === this.#serving) return;
    if (this.#serving !== '') await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    this.#serve(stored);
    this.#serving = stored.cert;
    this.notAfterMs = stored.notAfterMs;
  }

  /** Returns the content of the Secret, made anew when it is time. */
  async #stored(): Promise<Certificates | undefined> {
    const secret = (await this.#kube.get(this.#path)) as Secret;
    const stored = read(secret);
    const due = stored === undefined || dueForRotation(stored, this.#clock.nowEpochMs());
    return due ? read(await this.#renew(secret, stored?.ca ?? '')) : stored;
  }

  async #renew(secret: Secret, previousCa: string): Promise<Secret> {
    const fresh = await issue(this.#settings.names, {
      nowMs: this.#clock.nowEpochMs(),
      lifeMs: this.#settings.lifeMs,
      previousCa,
    });
    try {
      return (await this.#kube.patch(this.#path, {
        metadata: { resourceVersion: secret.metadata.resourceVersion },
        data: encode(fresh),
      })) as Secret;
    } catch (error) {
      // The other replica was faster: its pair is as good.
      if (!(error instanceof ApiError) || error.status !== 409) throw error;
      return (await this.#kube.get(this.#path)) as Secret;
    }
  }

  async #trust({ bundle, cert }: Certificates): Promise<void> {
    const path = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${this.#settings.webhook}`;
    const found = (await this.#kube.get(path)) as {
      readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[];
    };
    const caBundle = Buffer.from(bundle).toString('base64');
    const patch = found.webhooks.flatMap(({ clientConfig }, index) =>
      clientConfig.caBundle === caBundle
        ? []
        : [{ op: 'add', path: `/webhooks/${String(index)}/clientConfig/caBundle`, value: caBundle }],
    );
    if (patch.length === 0) return;
    // The other replica may have rotated since we read: its bundle must not be replaced by an older one.
    if (read((await this.#kube.get(this.#path)) as Secret)?.cert !== cert) return;
    await this.#kube.patch(path, patch, 'application/json-patch+json');
  }
}

function encode(certificates: Certificates): Record<string, string> {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return {
    'ca.crt': base64(certificates.ca),
    'bundle.crt': base64(certificates.bundle),
    'tls.crt': base64(certificates.cert),
    'tls.key': base64(certificates.key),
  };
}

function read({ data }: Secret): Certificates | undefined {
  const text = (name: string): string => Buffer.from(data?.[name] ?? '', 'base64').toString('utf8');
  try {
    const leaf = new X509Certificate(text('tls.crt'));
    return {
      ca: text('ca.crt'),
      bundle: text('bundle.crt'),
      cert: text('tls.crt'),
      key: text('tls.key'),
      notAfterMs: Date.parse(leaf.validTo),
      madeMs: Date.parse(leaf.validFrom) + BACKDATE_MS,
    };
  } catch {
    return undefined; // empty, or not what it should be: made anew
  }
}

/** Returns whether it is time for another certificate: two thirds of its life are over. */
function dueForRotation({ madeMs, notAfterMs }: Pick<Certificates, 'madeMs' | 'notAfterMs'>, nowMs: number): boolean {
  return nowMs >= madeMs + ((notAfterMs - madeMs) * 2) / 3;
}

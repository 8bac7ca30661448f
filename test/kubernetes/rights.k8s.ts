import { expect } from 'chai';
import { request } from 'node:https';
import { NS, type LiveFleet } from './live-fleet.ts';

/** What the controller and the injector may do, and what they do. */
export function rightsTests(fleet: LiveFleet): void {
  it('the controller may label a pod and bring its documents, and nothing else', async () => {
    const token = fleet.kubectl('create', 'token', 'holdfast-controller', '-n', 'holdfast-system').out.trim();
    // kubectl would read the pod first, which the controller may not.
    const call = (method: string, path: string, body?: unknown): Promise<string> =>
      new Promise((resolve, reject) => {
        const asked = request(
          `https://127.0.0.1:${String(fleet.cluster.port)}${path}`,
          {
            method,
            rejectUnauthorized: false,
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/merge-patch+json' },
          },
          (response) => {
            let text = '';
            response.on('data', (chunk: Buffer) => {
              text += chunk.toString();
            });
            response.on('end', () => {
              resolve(response.statusCode === 200 ? '' : text);
            });
          },
        );
        asked.once('error', reject);
        asked.end(body === undefined ? undefined : JSON.stringify(body));
      });
    const patch = (body: unknown): Promise<string> => call('PATCH', `/api/v1/namespaces/${NS}/pods/acme-0`, body);
    expect(await patch({ metadata: { labels: { 'holdfast.dev/role': 'standby' } } })).to.equal('');
    expect(await patch({ metadata: { labels: { 'app.kubernetes.io/name': 'other' } } })).to.include(
      'may set the label holdfast.dev/role and no other',
    );
    expect(await patch({ metadata: { labels: { 'holdfast.dev/client': null } } })).to.include('and no other');
    expect(await patch({ metadata: { annotations: { 'other/key': 'x' } } })).to.include(
      'may set the annotation holdfast.dev/config and no other',
    );
    expect(await patch({ spec: { containers: [{ name: 'app', image: 'evil' }] } })).to.not.equal('');
    expect(await call('GET', `/api/v1/namespaces/${NS}/secrets`)).to.include('forbidden');
    expect(
      await call('PATCH', `/apis/holdfast.dev/v1alpha1/namespaces/${NS}/streamclients/acme`, {
        spec: { suspend: true },
      }),
    ).to.include('forbidden');
  });

  it('least privilege, by the audit log: every right that is given is used, and none was missing', () => {
    const used = new Map<string, Set<string>>([
      ['controller', new Set()],
      ['injector', new Set()],
    ]);
    const refused: string[] = [];
    for (const line of fleet.cluster.audit()) {
      const agent = /^holdfast-(controller|injector)\//.exec(String(line['userAgent']))?.[1];
      const {
        apiGroup = '',
        resource = '',
        subresource,
      } = (line['objectRef'] ?? {}) as {
        readonly apiGroup?: string;
        readonly resource?: string;
        readonly subresource?: string;
      };
      if (agent === undefined || resource === '') continue;
      const code = Number((line['responseStatus'] as { readonly code?: number } | undefined)?.code);
      const part = subresource === undefined ? '' : `/${subresource}`;
      const right = `${String(line['verb'])} ${apiGroup}/${resource}${part}`;
      // While the API server starts it does not know its own roles yet.
      const at = Date.parse(String(line['stageTimestamp']));
      const starting = at >= fleet.restarted.from && at <= fleet.restarted.to;
      if (code === 403 && !starting) refused.push(`${agent}: ${right}`);
      used.get(agent)?.add(right);
    }
    expect(refused, 'refused').to.deep.equal([]);
    interface Rules {
      readonly rules: readonly {
        readonly apiGroups: readonly string[];
        readonly resources: readonly string[];
        readonly verbs: readonly string[];
      }[];
    }
    const granted = (part: string): readonly string[] => {
      const roles = [
        fleet.cluster.get('clusterrole', `holdfast-${part}`),
        fleet.cluster.get('role', `holdfast-${part}-own`, '-n', 'holdfast-system'),
        fleet.cluster.get('clusterrole', `holdfast-${part}-own`),
      ].filter((one) => one !== undefined) as unknown as readonly Rules[];
      return roles
        .flatMap((role) => role.rules)
        .flatMap((rule) =>
          rule.apiGroups.flatMap((group) =>
            rule.resources.flatMap((resource) => rule.verbs.map((verb) => `${verb} ${group}/${resource}`)),
          ),
        );
    };
    for (const part of ['controller', 'injector'])
      expect([...(used.get(part) ?? [])], part).to.have.members([...new Set(granted(part))]);
  });
}

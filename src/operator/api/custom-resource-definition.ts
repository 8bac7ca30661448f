import { specSchema, type Kind, type SchemaNode } from '../../config/spec-schema.ts';
import { TOKENS_DIR } from '../../config/installation.ts';
import { PROFILES } from '../../platforms/index.ts';
import { GROUP, PART_OF, VERSION } from './resources.ts';

/**
 * A rule that concerns several fields. Each stands in src/config/relations.ts too; test/kubernetes/crd.k8s.ts holds the
 * two together.
 */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
}

const LOOPBACK = String.raw`^(https?|wss?)://(127\\.|localhost([:/]|$)|\\[::1\\])`;
const onlyLoopback = ['login', 'api', 'streaming']
  .map((host) => `has(self.hosts.${host}) && self.hosts.${host}.matches('${LOOPBACK}')`)
  .join(' && ');

const CLIENT_RULES: readonly CelRule[] = [
  {
    rule: 'has(self.credentials.secretRef)',
    message: 'credentials.secretRef is needed in a cluster: name the Secret that holds clientId and clientSecret',
  },
  {
    rule: '!has(self.credentials.directory)',
    message: 'credentials.directory belongs to configuration files: use credentials.secretRef',
  },
  {
    rule: 'duration(self.reconnect.maxDelay) >= duration(self.reconnect.baseDelay)',
    message: 'reconnect.maxDelay is less than baseDelay: make maxDelay >= baseDelay',
  },
  {
    rule: 'duration(self.reconnect.extendedMaxDelay) >= duration(self.reconnect.extendedBaseDelay)',
    message: 'reconnect.extendedMaxDelay is less than extendedBaseDelay: make extendedMaxDelay >= extendedBaseDelay',
  },
  {
    rule: 'self.reconnect.jitterHigh >= self.reconnect.jitterLow',
    message: 'reconnect.jitterHigh is less than jitterLow: make jitterHigh >= jitterLow',
  },
  {
    rule: `duration(self.reconnect.baseDelay) >= duration('1s') || (${onlyLoopback})`,
    message:
      'reconnect.baseDelay is less than 1s: use 1s or more toward a real platform, shorter delays get the ' +
      'OAuth client locked out',
  },
  {
    rule: 'duration(self.lease.renewEvery) + duration(self.lease.renewEvery) < duration(self.lease.ttl)',
    message: 'lease.renewEvery must be less than half of ttl: keep renewEvery < ttl / 2',
  },
  {
    rule: 'duration(self.lease.guard) + duration(self.lease.guard) < duration(self.lease.ttl)',
    message: 'lease.guard must be less than half of ttl: keep guard < ttl / 2',
  },
  {
    rule:
      'duration(self.lease.renewEvery) + duration(self.lease.renewEvery) + duration(self.lease.guard) <= ' +
      'duration(self.lease.ttl)',
    message: 'lease.ttl must be at least 2 * renewEvery + guard: lengthen ttl or shorten renewEvery',
  },
  {
    rule: '!has(self.maintenance) || self.maintenance.all(w, !has(w.from) || w.to > w.from)',
    message: 'maintenance: to is not after from: put the end after the beginning',
  },
];

const dialects = Object.values(PROFILES);
const quoted = (words: readonly string[]): string => `[${words.map((word) => `'${word}'`).join(', ')}]`;
const withPaths = dialects.filter((profile) => profile.paths.length > 0);
const withoutPaths = dialects.filter((profile) => profile.paths.length === 0).map((profile) => profile.dialect);

const silent = dialects.filter((profile) => profile.liveness.ping === undefined).map((profile) => profile.dialect);

const STREAM_RULES: readonly CelRule[] = [
  ...withPaths.map((profile) => ({
    rule: `self.dialect != '${profile.dialect}' || (has(self.path) && self.path in ${quoted(profile.paths)})`,
    message: `path must be one of: ${profile.paths.join(', ')}: set path for the dialect ${profile.dialect}`,
  })),
  {
    rule: `!(self.dialect in ${quoted(withoutPaths)}) || !has(self.path)`,
    message: 'path is not used by this dialect: remove it',
  },
  ...(
    [
      ['Sequence', 'sequence'],
      ['Since', 'since'],
      ['Cursor', 'cursor'],
    ] as const
  ).map(([mode, kind]) => {
    const others = dialects
      .filter((profile) => profile.resume.kind !== undefined && profile.resume.kind !== kind)
      .map((profile) => profile.dialect);
    return {
      rule: `self.resume.mode != '${mode}' || !(self.dialect in ${quoted(others)})`,
      message: `resume.mode ${mode} is not how this dialect resumes: use Auto`,
    };
  }),
  {
    rule: "self.delivery.mode == 'Push' || !has(self.delivery.push)",
    message: 'delivery.push is not used with mode Pull: set mode: Push, or remove push',
  },
  {
    rule: "self.delivery.mode == 'Pull' || has(self.delivery.push)",
    message: 'delivery.push is needed with mode Push: set delivery.push.url',
  },
  {
    rule: 'duration(self.delivery.retryMaxDelay) >= duration(self.delivery.retryBaseDelay)',
    message: 'delivery.retryMaxDelay is less than retryBaseDelay: make retryMaxDelay >= retryBaseDelay',
  },
  {
    rule: '!has(self.delivery.push) || !has(self.delivery.push.tokenFile) || !has(self.delivery.push.tokenSecretRef)',
    message: 'delivery.push.tokenSecretRef stands beside tokenFile: keep one of the two',
  },
  {
    rule:
      '!has(self.delivery.push) || !has(self.delivery.push.tokenFile) || ' +
      `self.delivery.push.tokenFile.startsWith('${TOKENS_DIR}/')`,
    message: `delivery.push.tokenFile is not below ${TOKENS_DIR}: name the Secret with tokenSecretRef`,
  },
  {
    rule: `!has(self.delivery.push) || self.delivery.push.allowRemote || self.delivery.push.url.matches('${LOOPBACK}')`,
    message:
      'delivery.push.url is not loopback: deliver to the container beside this one, or set ' +
      'delivery.push.allowRemote: true',
  },
  {
    rule:
      `!has(self.delivery.push) || self.delivery.push.url.matches('^https://') || ` +
      `self.delivery.push.url.matches('${LOOPBACK}')`,
    message: 'delivery.push.url uses http toward a host that is not loopback: use https://',
  },
  {
    rule: `!has(self.heartbeat.pingEvery) || !(self.dialect in ${quoted(silent)})`,
    message: 'heartbeat.pingEvery: this dialect allows no keep-alive from the client: remove it, use heartbeat.silence',
  },
  {
    rule:
      '!has(self.heartbeat.pingEvery) || !has(self.heartbeat.pongTimeout) || ' +
      'duration(self.heartbeat.pongTimeout) < duration(self.heartbeat.pingEvery)',
    message: 'heartbeat.pongTimeout must be less than pingEvery: shorten pongTimeout or lengthen pingEvery',
  },
];

const IMMUTABLE = (field: string): CelRule => ({
  rule: 'self == oldSelf',
  message: `${field} cannot be changed: positions belong to it; make another object`,
});

const text = (description: string): SchemaNode => ({ type: 'string', description });
const count = (description: string): SchemaNode => ({ type: 'integer', format: 'int64', description });
const object = (description: string, properties: Record<string, SchemaNode>): SchemaNode => ({
  type: 'object',
  description,
  properties,
});

const conditions: SchemaNode = {
  type: 'array',
  description: 'What is known about this object, one entry a type.',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['type'],
  items: {
    ...object('One condition.', {
      type: text('What it is about.'),
      status: { ...text('True, False or Unknown.'), enum: ['True', 'False', 'Unknown'] },
      reason: text('Why, in one word of a closed vocabulary.'),
      message: text('Why, in a sentence.'),
      lastTransitionTime: { ...text('When status changed last.'), format: 'date-time' },
      observedGeneration: count('The generation of spec this speaks of.'),
    }),
    required: ['type', 'status', 'reason', 'message', 'lastTransitionTime'],
  },
};

const CLIENT_STATUS = object('What the controller saw; a mirror of the store, never a second lock.', {
  observedGeneration: count('The generation of spec this speaks of.'),
  state: text('Active, Electing, Degraded, Suspended, NoPods or Invalid.'),
  podsSummary: text('Pods whose sidecar reports / pods that ask for one.'),
  leader: object('Who holds the streams.', {
    podName: text('Its pod.'),
    epoch: count('Its fencing number; it grows with every change.'),
    since: { ...text('Since when this epoch is known.'), format: 'date-time' },
  }),
  token: object('The access token.', {
    state: text('absent, valid, refreshing or failed.'),
    expiresAt: text('When it ends, RFC 3339.'),
  }),
  handledHandOver: text('The last value of the hand-over annotation that was acted on.'),
  conditions,
});

const STREAM_STATUS = object('What the controller saw; a mirror of the store.', {
  observedGeneration: count('The generation of spec this speaks of.'),
  state: text(
    'What the stream is doing: Live, Open, Connecting, Backoff, Waiting, Parked, Halted, Suspended, Unknown.',
  ),
  streamClass: text('A: resumes by sequence. B: by cursor or time. C: cannot replay.'),
  reason: text('Why it is not live.'),
  lastEventTime: { ...text('When the last event came.'), format: 'date-time' },
  reconnects: count('Reconnections of the present leader.'),
  checkpoint: object('The end of the acknowledged prefix.', { position: text('In the words of the platform.') }),
  continuity: object('How complete the stream was.', {
    ratio: text('Share of events that came, times the share of time that is known, in percent; of the present leader.'),
    gaps: count('Announced gaps of the present leader.'),
  }),
  delivery: object('Toward the consumer.', {
    backlog: count('Received and not yet acknowledged.'),
    pendingAcks: count('Delivered and not yet acknowledged.'),
    deadLetters: count('Set aside after too many failures.'),
  }),
  conditions,
});

interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  readonly priority?: 1;
  readonly description: string;
}

const ready = (type: string): string => `.status.conditions[?(@.type=="${type}")]`;
const CLIENT_COLUMNS: readonly Column[] = [
  { name: 'Platform', type: 'string', jsonPath: '.spec.platform', description: 'Vendor.' },
  { name: 'Region', type: 'string', jsonPath: '.spec.region', description: 'Region of the platform.' },
  { name: 'Leader', type: 'string', jsonPath: '.status.leader.podName', description: 'Pod that holds the streams.' },
  {
    name: 'State',
    type: 'string',
    jsonPath: '.status.state',
    description: 'Active, Electing, Degraded, Suspended, NoPods or Invalid.',
  },
  { name: 'Pods', type: 'string', jsonPath: '.status.podsSummary', description: 'Reporting / asking for a sidecar.' },
  {
    name: 'Ready',
    type: 'string',
    jsonPath: `${ready('Ready')}.status`,
    description: 'Somebody leads and is authenticated.',
  },
  {
    name: 'Reason',
    type: 'string',
    jsonPath: `${ready('Ready')}.reason`,
    priority: 1,
    description: 'Why it is ready or not.',
  },
  {
    name: 'Epoch',
    type: 'integer',
    jsonPath: '.status.leader.epoch',
    priority: 1,
    description: 'Fencing number of the leader.',
  },
  {
    name: 'Token-Expires',
    type: 'string',
    jsonPath: '.status.token.expiresAt',
    priority: 1,
    description: 'End of the access token.',
  },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age of the object.' },
];
const STREAM_COLUMNS: readonly Column[] = [
  { name: 'Client', type: 'string', jsonPath: '.spec.clientRef.name', description: 'Its StreamClient.' },
  { name: 'Dialect', type: 'string', jsonPath: '.spec.dialect', description: 'What the endpoint speaks.' },
  { name: 'State', type: 'string', jsonPath: '.status.state', description: 'What the stream is doing.' },
  {
    name: 'Continuity',
    type: 'string',
    jsonPath: '.status.continuity.ratio',
    description: 'Share of events that came and of time that is known.',
  },
  { name: 'Gaps', type: 'integer', jsonPath: '.status.continuity.gaps', description: 'Announced gaps.' },
  { name: 'Last-Event', type: 'date', jsonPath: '.status.lastEventTime', description: 'When the last event came.' },
  { name: 'Ready', type: 'string', jsonPath: `${ready('Ready')}.status`, description: 'Connected and subscribed.' },
  {
    name: 'Reason',
    type: 'string',
    jsonPath: `${ready('Ready')}.reason`,
    priority: 1,
    description: 'Why it is ready or not.',
  },
  {
    name: 'Checkpoint',
    type: 'string',
    jsonPath: '.status.checkpoint.position',
    priority: 1,
    description: 'End of the acknowledged prefix.',
  },
  {
    name: 'Delivering',
    type: 'string',
    jsonPath: `${ready('Delivering')}.reason`,
    priority: 1,
    description: 'Whether events go on to the consumer, and if not, why.',
  },
  {
    name: 'Backlog',
    type: 'integer',
    jsonPath: '.status.delivery.backlog',
    priority: 1,
    description: 'Received, not yet acknowledged.',
  },
  {
    name: 'Pending',
    type: 'integer',
    jsonPath: '.status.delivery.pendingAcks',
    priority: 1,
    description: 'Delivered, not yet acknowledged.',
  },
  { name: 'Reconnects', type: 'integer', jsonPath: '.status.reconnects', priority: 1, description: 'Reconnections.' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age of the object.' },
];

interface Shape {
  readonly plural: string;
  readonly short: string;
  readonly columns: readonly Column[];
  readonly rules: readonly CelRule[];
  readonly status: SchemaNode;
  readonly immutable: readonly (readonly string[])[];
  readonly selectable: string;
  readonly what: string;
}

export const SHAPES: Readonly<Record<Kind, Shape>> = {
  StreamClient: {
    plural: 'streamclients',
    short: 'hfc',
    columns: CLIENT_COLUMNS,
    rules: CLIENT_RULES,
    status: CLIENT_STATUS,
    immutable: [['platform'], ['region']],
    selectable: '.spec.platform',
    what:
      'One OAuth client of a contact-centre platform. Of all pods that name it, exactly one leads and holds ' +
      'its streams.',
  },
  EventStream: {
    plural: 'eventstreams',
    short: 'hfs',
    columns: STREAM_COLUMNS,
    rules: STREAM_RULES,
    status: STREAM_STATUS,
    immutable: [['clientRef', 'name']],
    selectable: '.spec.clientRef.name',
    what: 'One subscription of a StreamClient, delivered to the container beside the sidecar.',
  },
};

/** The CustomResourceDefinition of a kind, ready to be written as YAML. */
export function customResourceDefinition(kind: Kind): Record<string, unknown> {
  const shape = SHAPES[kind];
  const spec = specSchema(kind);
  for (const path of shape.immutable) {
    const node = path.reduce<SchemaNode | undefined>((at, name) => at?.properties?.[name], spec);
    if (node === undefined) throw new Error(`${kind} has no ${path.join('.')}`);
    node['x-kubernetes-validations'] = [IMMUTABLE(path.join('.'))];
  }
  spec['x-kubernetes-validations'] = shape.rules;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${shape.plural}.${GROUP}`, labels: { 'app.kubernetes.io/part-of': PART_OF } },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural: shape.plural,
        singular: kind.toLowerCase(),
        shortNames: [shape.short],
        categories: [PART_OF],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          selectableFields: [{ jsonPath: shape.selectable }],
          additionalPrinterColumns: shape.columns,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: shape.what,
              required: ['spec'],
              // The name is a label value on pods.
              'x-kubernetes-validations': [
                {
                  rule: 'size(self.metadata.name) <= 63',
                  message: 'metadata.name is longer than 63 characters: it is used as a label value',
                },
              ],
              properties: {
                apiVersion: text('Version of this schema.'),
                kind: text('Kind of this object.'),
                metadata: { type: 'object' },
                spec,
                status: shape.status,
              },
            },
          },
        },
      ],
    },
  };
}

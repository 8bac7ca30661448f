import { specSchema, type Kind, type SchemaNode } from '../../config/spec-schema.ts';
import { CEL_RULES, type CelRule } from './cel-rules.ts';
import { GROUP, PART_OF, VERSION } from './resources.ts';

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
  readonly status: SchemaNode;
  readonly immutable: readonly (readonly string[])[];
  readonly selectable: string;
  readonly what: string;
}

const SHAPES: Readonly<Record<Kind, Shape>> = {
  StreamClient: {
    plural: 'streamclients',
    short: 'hfc',
    columns: CLIENT_COLUMNS,
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
    status: STREAM_STATUS,
    immutable: [['clientRef', 'name']],
    selectable: '.spec.clientRef.name',
    what: 'One subscription of a StreamClient, delivered to the container beside the sidecar.',
  },
};

/** Returns the CustomResourceDefinition of a kind, ready to be written as YAML. */
export function customResourceDefinition(kind: Kind): Record<string, unknown> {
  const shape = SHAPES[kind];
  const spec = specSchema(kind);
  for (const path of shape.immutable) {
    const node = path.reduce<SchemaNode | undefined>((at, name) => at?.properties?.[name], spec);
    if (node === undefined) throw new Error(`${kind} has no ${path.join('.')}`);
    node['x-kubernetes-validations'] = [IMMUTABLE(path.join('.'))];
  }
  spec['x-kubernetes-validations'] = CEL_RULES[kind];
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

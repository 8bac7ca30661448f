import { cxoneEvents } from './cxone-events.ts';
import { cxoneRealtime } from './cxone-realtime.ts';
import { genesysAnalyticsEvents } from './genesys-analytics-events.ts';
import { genesysAnalyticsStreaming } from './genesys-analytics-streaming.ts';
import { genesysArchitect } from './genesys-architect.ts';
import { genesysGateway } from './genesys-gateway.ts';
import { genesysStreams } from './genesys-streams.ts';
import type { Dialect, Profile } from './profile.ts';

/** Every dialect, by name. New ones are added, never renamed. */
export const PROFILES: Readonly<Record<Dialect, Profile>> = Object.freeze({
  'genesys-streams': genesysStreams,
  'genesys-architect': genesysArchitect,
  'genesys-analytics-events': genesysAnalyticsEvents,
  'cxone-events': cxoneEvents,
  'genesys-gateway': genesysGateway,
  'genesys-analytics-streaming': genesysAnalyticsStreaming,
  'cxone-realtime': cxoneRealtime,
});

export const DIALECTS = Object.keys(PROFILES) as readonly Dialect[];

/**
 * Genesys Cloud regions and their domains (platform SDK region table, 18 entries). Both columns are accepted as
 * `region`; an unknown domain is used as given, with a warning, never rewritten.
 */
export const GENESYS_DOMAINS: Readonly<Record<string, string>> = Object.freeze({
  'us-east-1': 'mypurecloud.com',
  'eu-west-1': 'mypurecloud.ie',
  'ap-southeast-2': 'mypurecloud.com.au',
  'ap-northeast-1': 'mypurecloud.jp',
  'eu-central-1': 'mypurecloud.de',
  'us-west-2': 'usw2.pure.cloud',
  'ca-central-1': 'cac1.pure.cloud',
  'ap-northeast-2': 'apne2.pure.cloud',
  'eu-west-2': 'euw2.pure.cloud',
  'ap-south-1': 'aps1.pure.cloud',
  'us-east-2': 'use2.us-gov-pure.cloud',
  'sa-east-1': 'sae1.pure.cloud',
  'me-central-1': 'mec1.pure.cloud',
  'ap-northeast-3': 'apne3.pure.cloud',
  'eu-central-2': 'euc2.pure.cloud',
  'mx-central-1': 'mxc1.pure.cloud',
  'ap-southeast-1': 'apse1.pure.cloud',
  'eusc-de-east-1': 'edee1.eusc-pure.cloud',
});

/** CXone areas named by the sources; the sources' own hosts do not contain the area, so it only labels. */
export const CXONE_AREAS: readonly string[] = Object.freeze(['na1', 'na2', 'na3', 'eu1', 'uk1', 'au1', 'ca1', 'jp1']);

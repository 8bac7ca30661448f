import { MENDED_STREAM_PLANTS } from './mended-stream-plants.ts';
import { STAGE_PLANTS } from './stage-plants.ts';
import type { StreamPlant } from './stream-plant.ts';

export const STREAM_PLANTS: readonly StreamPlant[] = [...MENDED_STREAM_PLANTS, ...STAGE_PLANTS];

import { CONDUCT_PLANTS } from './plants/conduct-plants.ts';
import { LEASE_PLANTS } from './plants/lease-plants.ts';
import type { PlantedFault } from './plants/planted-fault.ts';
import { POSITION_PLANTS } from './plants/position-plants.ts';

/** Faults planted in the running program, each of which the judge must name. */
export const PLANTS: readonly PlantedFault[] = [...POSITION_PLANTS, ...LEASE_PLANTS, ...CONDUCT_PLANTS];

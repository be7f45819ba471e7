/**
 * What the published package has and this one cannot honour: refused with `Unsupported`, never ignored.
 *
 * One table for the options here; `sdks/node/tests/published.test.mjs` has the one of names.
 */

import { unsupported } from './arguments.js';

const NO_NETWORK = 'boxes have no network';
const NO_TIMERS = 'boxes stop when they are told to, or with their runtime';

const BOX_OPTIONS: Readonly<Record<string, string>> = {
  rootfsPath: 'boxes are made of images in the store',
  volumes: 'there are no volumes; use copyIn and copyOut',
  network: NO_NETWORK,
  ports: NO_NETWORK,
  secrets: 'secrets need a network',
  security: 'every box is confined as far as the host allows',
  advanced: 'a box is a machine of its own, its root has every capability in it',
  healthCheck: 'boxes are not probed',
  autoStop: NO_TIMERS,
  autoDelete: NO_TIMERS,
  autoResume: NO_TIMERS,
};

/** Refuses what cannot be honoured; an empty list asks for nothing. */
export function refuseBoxOptions(options: object): void {
  for (const [key, value] of Object.entries(options)) {
    const reason = Object.hasOwn(BOX_OPTIONS, key) ? BOX_OPTIONS[key] : undefined;
    const nothing = value === undefined || value === null || (Array.isArray(value) && value.length === 0);
    if (reason !== undefined && !nothing) {
      throw unsupported(`box option \`${key}\``, reason);
    }
  }
}

/** Returns the options without those that ask for nothing. */
export function withoutRefused<T extends object>(options: T): T {
  const kept = Object.entries(options).filter(([key]) => !Object.hasOwn(BOX_OPTIONS, key));
  return Object.fromEntries(kept) as T;
}

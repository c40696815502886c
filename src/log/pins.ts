import type { Manifest, Pin } from './manifest.ts';

/** Longest reason that is accepted, in characters. */
export const maxReasonLength = 500;

/** The pins that a commit carries, by snapshot. */
export function pinsOf(manifest: Manifest | undefined): ReadonlyMap<string, Pin> {
  return new Map((manifest?.pins ?? []).map((pin) => [pin.id, pin]));
}

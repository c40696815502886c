import { storeDamages } from '../../stores/drilling.ts';

/** Kinds of damage that a drill shows itself in the remote. */
export const remoteDamages = [
  'object-missing',
  'object-truncated',
  'bit-flipped',
  'objects-swapped',
  'commit-damaged',
  'manifest-damaged',
] as const;
export type RemoteDamage = (typeof remoteDamages)[number];

/** All kinds, first those of the remote, then those of a restored copy. */
export const damageKinds = [...remoteDamages, ...storeDamages] as const;
export type DamageKind = (typeof damageKinds)[number];

export function isRemoteDamage(kind: DamageKind): kind is RemoteDamage {
  return remoteDamages.some((each) => each === kind);
}

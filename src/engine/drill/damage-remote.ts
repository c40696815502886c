import { SyncAgentError } from '../../platform/errors.ts';
import { commitKey, manifestKey } from '../../log/layout.ts';
import type { Manifest } from '../../log/manifest.ts';
import type { ReliedObject } from '../../formats/content-format.ts';
import type { Remote } from '../../remotes/remote.ts';
import type { Context } from '../context.ts';
import type { RemoteDamage } from './damage-kinds.ts';
import { falsifiedRemote } from './falsified-remote.ts';
import type { FalseObject } from './falsified-remote.ts';

export interface DamagedView {
  /** The remote, as it would look. */
  readonly remote: Remote;
  /** What is damaged in it: the end of a sentence. */
  readonly what: string;
}

/** The remote as it would look if a snapshot was damaged in it. Changes nothing. */
export async function damageInRemote(
  { remote, formats, signal }: Context,
  manifest: Manifest,
  kind: RemoteDamage,
): Promise<DamagedView> {
  const objects = formats
    .of(manifest)
    .reliedOn(manifest)
    .toSorted((a, b) => b.size - a.size);
  const view = (what: string, ...falsified: readonly (readonly [string, FalseObject])[]): DamagedView => ({
    remote: falsifiedRemote(remote, new Map(falsified)),
    what,
  });
  const [largest] = objects;
  switch (kind) {
    case 'object-missing': {
      const { key } = needed(largest, 'it has no file');
      return view(`object "${key}" is missing`, [key, { type: 'missing' }]);
    }
    case 'object-truncated': {
      const { key, size } = needed(withContent(objects, 1), 'it has no file with content');
      return view(`object "${key}" lost its second half`, [
        key,
        { type: 'truncated', size: Math.floor(size / 2) },
      ]);
    }
    case 'bit-flipped': {
      const { key, size } = needed(withContent(objects, 1), 'it has no file with content');
      const position = Math.floor(size / 2);
      return view(`one bit of byte ${position} of object "${key}" is flipped`, [
        key,
        { type: 'flipped', position },
      ]);
    }
    case 'objects-swapped': {
      const a = needed(largest, 'it has no file');
      const sha256 = hashOf(manifest, a);
      const b = needed(
        objects.find((each) => each.key !== a.key && hashOf(manifest, each) !== sha256),
        'it has no two different files',
      );
      return view(
        `objects "${a.key}" and "${b.key}" are swapped`,
        [a.key, { type: 'swapped', key: b.key }],
        [b.key, { type: 'swapped', key: a.key }],
      );
    }
    case 'commit-damaged': {
      const key = commitKey(manifest.generation);
      return view(`one bit of "${key}" is flipped`, [key, await inTheMiddle(key)]);
    }
    case 'manifest-damaged':
      return view(`one bit of "${manifestKey}" is flipped`, [manifestKey, await inTheMiddle(manifestKey)]);
    default:
      return kind satisfies never;
  }

  async function inTheMiddle(key: string): Promise<FalseObject> {
    const info = needed(await remote.head(key, { signal }), `the remote has no "${key}"`);
    return { type: 'flipped', position: Math.floor(info.size / 2) };
  }
}

const withContent = (objects: readonly ReliedObject[], bytes: number): ReliedObject | undefined =>
  objects.find(({ size }) => size >= bytes);

const hashOf = ({ files }: Manifest, { path }: ReliedObject): string | undefined =>
  files.find((file) => file.path === path)?.sha256;

function needed<T>(value: T | undefined, why: string): T {
  if (value !== undefined) return value;
  throw new SyncAgentError('USAGE', `Cannot damage the view of the snapshot: ${why}`, {
    remedy: 'Choose another kind of damage',
  });
}

import type { RemoteTraits } from '../../remotes/remote.ts';
import type { Context } from '../context.ts';

/** What a bucket that keeps old versions does to rotation, and the rule that helps; undefined for other remotes. */
export function describeVersioning({
  versioning,
  objectLock,
  cleanUpRule,
}: RemoteTraits): { readonly message: string; readonly remedy: string } | undefined {
  if (versioning !== 'on' && versioning !== 'suspended') return undefined;
  const state = versioning === 'on' ? 'keeps' : 'may still hold';
  const lock =
    objectLock === undefined
      ? ''
      : ` Object Lock is on (${objectLock}): a delete only hides an object, and the rule cannot expire it before that time has passed.`;
  return {
    message: `The bucket is versioned: it ${state} a version of every object that rotation deletes, or that is written again, and they are paid for.${lock}`,
    remedy: `A lifecycle rule of the bucket expires them: ${cleanUpRule ?? ''}`,
  };
}

/** Told by whoever deletes at a person's word: what is called deleted still costs. */
export async function warnIfVersioned({ remote, emit, signal }: Context): Promise<void> {
  const versioning = describeVersioning((await remote.traits?.({ signal })) ?? {});
  if (versioning !== undefined) emit({ type: 'warning', code: 'NOTICE', ...versioning });
}

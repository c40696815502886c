import { GetBucketVersioningCommand, GetObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import { isSyncAgentError } from '../../platform/errors.ts';
import type { CallOptions, RemoteTraits } from '../remote.ts';
import type { S3Session } from './connection/s3-session.ts';

/**
 * What of a bucket makes deleted bytes stay. Servers without these calls, and credentials without the right to them,
 * are common: then nothing is known.
 */
export async function s3Traits(
  session: S3Session,
  proxy: string | undefined,
  options: CallOptions,
): Promise<RemoteTraits> {
  const Bucket = session.settings.bucket;
  const ask = async <T>(request: Parameters<typeof session.send<T>>[1]): Promise<T | undefined> => {
    try {
      return await session.send(session.call('head', '', options), request);
    } catch (error) {
      if (isSyncAgentError(error, 'INTERRUPTED')) throw error;
      return undefined;
    }
  };
  const versioning = await ask((sent) =>
    session.client.send(new GetBucketVersioningCommand({ Bucket }), sent),
  );
  const isVersioned = versioning?.Status === 'Enabled';
  const lock = isVersioned
    ? await ask((sent) => session.client.send(new GetObjectLockConfigurationCommand({ Bucket }), sent))
    : undefined;
  const retention = lock?.ObjectLockConfiguration?.Rule?.DefaultRetention;
  return {
    ...(proxy === undefined ? {} : { proxy }),
    ...(versioning === undefined
      ? {}
      : { versioning: versioning.Status === undefined ? 'off' : isVersioned ? 'on' : 'suspended' }),
    ...(lock?.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled'
      ? {
          objectLock:
            retention?.Mode === undefined
              ? 'without a default'
              : `${retention.Mode.toLowerCase()}, ${lengthOf(retention)}`,
        }
      : {}),
    cleanUpRule: lifecycleRule(session.settings.prefix ?? ''),
  };
}

const lengthOf = ({
  Days,
  Years,
}: {
  readonly Days?: number | undefined;
  readonly Years?: number | undefined;
}): string => (Days === undefined ? inUnits(Years ?? 0, 'year') : inUnits(Days, 'day'));

const inUnits = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? '' : 's'}`;

/** Expires what rotation deleted, and the markers that stand for it. */
function lifecycleRule(prefix: string): string {
  return JSON.stringify({
    ID: 'sync-agent',
    Status: 'Enabled',
    Filter: { Prefix: prefix === '' ? '' : `${prefix}/` },
    NoncurrentVersionExpiration: { NoncurrentDays: 1 },
    Expiration: { ExpiredObjectDeleteMarker: true },
  });
}

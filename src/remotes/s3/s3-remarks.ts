import { GetBucketVersioningCommand, GetObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import { isSyncAgentError } from '../../platform/errors.ts';
import type { CallOptions, RemoteRemark } from '../remote.ts';
import type { S3Session } from './connection/s3-session.ts';

/**
 * The proxy that requests go through, and what makes deleted bytes stay in the bucket. Many servers lack these calls, and
 * many credentials lack the right to them: then nothing is said.
 */
export async function s3Remarks(session: S3Session, options: CallOptions): Promise<readonly RemoteRemark[]> {
  const { bucket: Bucket, prefix = '', proxy } = session.settings;
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
  const lock =
    versioning?.Status === 'Enabled'
      ? await ask((sent) => session.client.send(new GetObjectLockConfigurationCommand({ Bucket }), sent))
      : undefined;
  return [
    ...(proxy === undefined
      ? []
      : [{ name: 'proxy', type: 'fact' as const, message: `requests go through ${proxy.shown}` }]),
    ...(versioning?.Status === undefined
      ? []
      : [versionsRemark(versioning.Status === 'Enabled', lockOf(lock?.ObjectLockConfiguration), prefix)]),
  ];
}

interface LockConfiguration {
  readonly ObjectLockEnabled?: string | undefined;
  readonly Rule?:
    | {
        readonly DefaultRetention?:
          | {
              readonly Mode?: string | undefined;
              readonly Days?: number | undefined;
              readonly Years?: number | undefined;
            }
          | undefined;
      }
    | undefined;
}

/** How objects are locked by default; undefined if they are not locked at all. */
function lockOf(lock: LockConfiguration | undefined): string | undefined {
  if (lock?.ObjectLockEnabled !== 'Enabled') return undefined;
  const { Mode, Days, Years = 0 } = lock.Rule?.DefaultRetention ?? {};
  if (Mode === undefined) return 'without a default';
  return `${Mode.toLowerCase()}, ${Days === undefined ? inUnits(Years, 'year') : inUnits(Days, 'day')}`;
}

const inUnits = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? '' : 's'}`;

/** What a bucket that keeps old versions does to rotation, and the rule that helps. */
export function versionsRemark(isOn: boolean, lock: string | undefined, prefix: string): RemoteRemark {
  const aboutLock =
    lock === undefined
      ? ''
      : ` Object Lock is on (${lock}): a delete only hides an object, and the rule cannot expire it before that time has passed.`;
  return {
    name: 'versions',
    type: 'keeps-deleted',
    message: `The bucket is versioned: it ${isOn ? 'keeps' : 'may still hold'} a version of every object that rotation deletes, or that is written again, and they are paid for.${aboutLock}`,
    remedy: `A lifecycle configuration of the bucket expires them: ${lifecycleConfiguration(prefix)}`,
  };
}

/** Expires what rotation deleted, and the markers that stand for it. As `aws s3api put-bucket-lifecycle-configuration` takes it. */
function lifecycleConfiguration(prefix: string): string {
  return JSON.stringify({
    Rules: [
      {
        ID: 'sync-agent',
        Status: 'Enabled',
        Filter: { Prefix: prefix === '' ? '' : `${prefix}/` },
        NoncurrentVersionExpiration: { NoncurrentDays: 1 },
        Expiration: { ExpiredObjectDeleteMarker: true },
      },
    ],
  });
}

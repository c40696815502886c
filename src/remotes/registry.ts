import { directoryKind } from './directory/directory-kind.ts';
import { s3Kind } from './s3/s3-kind.ts';
import type { S3Options } from './s3/s3-settings.ts';

/** Every kind of remote that a URL can name. */
export const remoteKinds = [s3Kind, directoryKind] as const;

/** Settings of the kinds that have any, by scheme. */
export interface RemoteSettings {
  readonly s3?: S3Options | undefined;
}

import { choice, size, text, wholeNumber, yesOrNo } from '../kind.ts';
import type { SettingTable } from '../setting.ts';

export const s3Table = {
  's3.endpoint': {
    kind: text('http(s)://host[:port]'),
    help: 'Server, if it is not Amazon, such as http://localhost:9000',
    details: '`AWS_ENDPOINT_URL_S3` also counts.',
    library: 's3.endpoint',
    scope: 'place',
  },
  's3.region': {
    kind: text('a region'),
    help: 'Region of the bucket',
    details: '`AWS_REGION` also counts.',
    library: 's3.region',
    scope: 'place',
  },
  's3.forcePathStyle': {
    kind: yesOrNo,
    help: 'Name the bucket in the path, not in the host name',
    details: 'That is the default for IP addresses and names without a dot.',
    library: 's3.forcePathStyle',
  },
  's3.sse': {
    kind: choice('AES256', 'aws:kms'),
    help: 'Server-side encryption: AES256 or aws:kms',
    library: 's3.serverSideEncryption',
  },
  's3.kmsKeyId': {
    kind: text('a KMS key'),
    help: 'KMS key for aws:kms',
    library: 's3.kmsKeyId',
  },
  's3.storageClass': {
    kind: text('a storage class'),
    help: 'Storage class of new objects, such as STANDARD_IA',
    details: 'Not one that must be thawed first.',
    library: 's3.storageClass',
  },
  's3.partSize': {
    kind: size(5 * 1024 * 1024, 'a size of at least 5MiB, such as 8MiB'),
    help: 'Size of the parts in which larger files are uploaded',
    defaultNote: '6MiB',
    library: 's3.partSizeBytes',
  },
  's3.uploadConcurrency': {
    kind: wholeNumber(1, 64),
    help: 'Number of parts of one upload in flight',
    defaultNote: '4',
    library: 's3.uploadConcurrency',
  },
  's3.checksums': {
    kind: choice('when_required', 'when_supported'),
    help: 'Checksums beyond the signed SHA-256: when_required or when_supported',
    defaultNote: 'when_supported for Amazon, else when_required',
    library: 's3.checksums',
  },
} as const satisfies SettingTable;

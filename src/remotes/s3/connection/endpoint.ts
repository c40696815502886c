import { SyncAgentError } from '../../../platform/errors.ts';
import type { S3Settings } from '../s3-settings.ts';
import { readAwsEnvironment } from './aws-environment.ts';

/** The custom endpoint that the settings or the environment name; undefined for AWS itself. Throws USAGE for one that cannot be used. */
export function endpointOf(settings: S3Settings): URL | undefined {
  const { endpoint: fromEnvironment } = readAwsEnvironment(process.env);
  const { text, variable } = settings.endpoint
    ? { text: settings.endpoint, variable: undefined }
    : (fromEnvironment ?? { text: '', variable: undefined });
  if (text === '') return undefined;
  const source = variable === undefined ? '' : ` of ${variable}`;
  const unusable = (why: string, remedy: string, shown = text.replace(/.*@/, '***@')): SyncAgentError =>
    new SyncAgentError('USAGE', `Cannot use the endpoint "${shown}"${source}: ${why}`, { remedy });
  const asUrl = 'Write the endpoint as https://host or http://host:port';
  if (!URL.canParse(text) || !/^https?:/i.test(text)) {
    const isHost = /^[\w.-]+(:\d+)?(\/|$)/.test(text);
    throw unusable('it is not an http(s) URL', isHost ? `${asUrl}, such as https://${text}` : asUrl);
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    const shown = `${url.protocol}//***@${url.host}`;
    throw unusable('it holds credentials', 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY', shown);
  }
  if (url.search !== '' || url.hash !== '') throw unusable('it has a query', asUrl);
  const { bucket } = settings;
  const path = url.pathname.replace(/\/+$/, '');
  if (path.endsWith(`/${bucket}`)) {
    const rest = path.slice(0, -bucket.length - 1);
    throw unusable(`its path names the bucket "${bucket}"`, `Leave it out: ${url.origin}${rest}`);
  }
  if (url.hostname.startsWith(`${bucket}.`)) {
    const host = url.host.slice(bucket.length + 1);
    throw unusable(`its host begins with the bucket "${bucket}"`, `Leave it out: ${url.protocol}//${host}`);
  }
  return url;
}

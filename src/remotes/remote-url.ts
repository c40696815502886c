import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { RemoteKind, RemoteLocation } from './remote-kind.ts';
import { remoteKinds } from './registry.ts';
import { unusableUrl } from './unusable-url.ts';

/** The registered kinds, whatever their settings. */
const kinds: readonly RemoteKind[] = remoteKinds;

/** What URLs of remotes look like, for help and messages: `s3://bucket/prefix or file:///directory`. */
export const remoteForms: string = kinds.map(({ form }) => form).join(' or ');

export interface KnownLocation extends RemoteLocation {
  readonly kind: RemoteKind;
}

/** Reads the URL of a remote. Throws USAGE; its message never repeats a credential that was put into the URL. */
export function parseRemote(text: string): KnownLocation {
  const url = text.trim();
  const kind = kindOf(url);
  if (kind !== undefined) return { ...kind.parse(url), kind };
  const schemes = kinds.map(({ scheme }) => `${scheme}://`).join(' nor ');
  throw unusableUrl(url, `it is neither ${schemes}`, remedyFor(url));
}

/** A URL that is relative to `base`, such as `file:./dir`, made absolute. Everything else stays as it is. */
export function resolveRemote(text: string, base: string): string {
  return kindOf(text)?.resolve?.(text, base) ?? text;
}

function kindOf(url: string): RemoteKind | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  return kinds.find((kind) => kind.scheme === scheme);
}

function remedyFor(text: string): string {
  const meant = kinds.map((kind) => kind.recognise?.(text)).find((remedy) => remedy !== undefined);
  if (meant !== undefined) return meant;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || text === '') return `Write ${remoteForms}`;
  return `For a directory, write ${pathToFileURL(resolve(text)).href}`;
}

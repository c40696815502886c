import { ownerPattern } from '../../home/owner.ts';
import { longestLabel } from '../../log/manifest.ts';
import { remoteForms } from '../../remotes/remote-url.ts';
import { parseExclusion } from '../../stores/content/exclusions.ts';
import { storeKinds } from '../../stores/registry.ts';
import { choice, kind, text } from '../kind.ts';
import type { Kind } from '../kind.ts';
import type { SettingTable } from '../setting.ts';

const patternForm = 'patterns as in a .gitignore, relative to the store, such as "*.log" or "/cache/"';

/** A variable separates patterns by commas or newlines; a flag is repeated, and a file has a list. */
const patterns: Kind<readonly string[]> = {
  flag: 'list',
  json: 'string',
  expected: patternForm,
  read: (input) => {
    const found = textsOf(input)?.map(parseExclusion);
    return found === undefined || found.includes(undefined) ? undefined : (found as readonly string[]);
  },
  complaint: (input) => {
    const wrong = textsOf(input)?.find((each) => parseExclusion(each) === undefined);
    return wrong === undefined ? undefined : `${JSON.stringify(wrong.slice(0, 200))} can match nothing`;
  },
  inCode: {
    expected: 'a list of patterns as in a .gitignore, relative to the store',
    isGood: (value) =>
      Array.isArray(value) &&
      value.every((each) => typeof each === 'string' && parseExclusion(each) === each),
  },
};

function textsOf(input: unknown): readonly string[] | undefined {
  if (typeof input === 'string') return input.split(/[,\n]/).filter((each) => each.trim() !== '');
  return Array.isArray(input) && input.every((each) => typeof each === 'string') ? input : undefined;
}

const kinds = storeKinds.map(({ name }) => name);

const hostForm = `a name of at most ${longestLabel} characters`;

/** What is kept, where, and as whose. */
export const storeTable = {
  store: {
    kind: text('a directory'),
    help: 'Directory to back up and restore',
    default: './chroma',
    library: 'store',
    scope: 'place',
  },
  remote: {
    kind: text(remoteForms),
    help: `Place for the snapshots: ${remoteForms}`,
    details: 'There is no default.',
    library: 'remote',
    scope: 'place',
  },
  adapter: {
    kind: choice('auto', ...kinds),
    help: `Kind of store: auto, ${kinds.join(', ')}`,
    details: '`auto` tells the kind by the files.',
    default: 'auto',
    library: 'adapter',
  },
  exclude: {
    kind: patterns,
    help: 'Files of the store to leave alone, as in a .gitignore; may be repeated',
    details: 'See [below](#what-is-left-alone).',
    library: 'exclude',
  },
  host: {
    kind: kind({
      expected: hostForm,
      read: (input) =>
        typeof input === 'string' && input.trim() !== '' && input.length <= longestLabel ? input : undefined,
      inCode: {
        expected: hostForm,
        isGood: (value) => typeof value === 'string' && value.length <= longestLabel,
      },
    }),
    help: 'Name of this host in snapshots',
    details: `At most ${longestLabel} characters.`,
    defaultNote: 'the host name',
    library: 'host',
  },
  owner: {
    kind: kind({
      expected: 'user:group, uid:gid or keep',
      read: (input) => {
        const name = typeof input === 'boolean' ? '' : String(input);
        return ownerPattern.test(name) ? name : undefined;
      },
      inCode: {
        expected: '"user:group", "uid:gid" or "keep"',
        isGood: (value) => typeof value === 'string' && ownerPattern.test(value),
      },
    }),
    help: 'Owner of the files that root writes: user:group, or keep for root itself',
    defaultNote: "the store's owner",
    library: 'owner',
  },
} as const satisfies SettingTable;

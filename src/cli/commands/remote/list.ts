import type { SnapshotSummary } from '../../../engine/history/history.ts';
import {
  counted,
  formatBytes,
  formatCount,
  formatDuration,
  printable,
  table,
} from '../../../report/format.ts';
import type { Style } from '../../../report/style.ts';
import type { Command } from '../command.ts';
import { pinText, reachText } from '../../text/snapshot-text.ts';
import type { Config } from '../../../settings/settings.ts';

export const listCommand: Command = {
  name: 'list',
  describe: 'List the snapshots, oldest first',
  isQuery: true,
  run: async ({ agent, config, signal, style }) => {
    const [snapshots, parent] = await Promise.all([agent.list({ signal }), localParent(config)]);
    return {
      result: { snapshots: snapshots.map((each) => ({ ...each, isLocalParent: each.id === parent })) },
      lines: snapshots.length === 0 ? ['No snapshots yet'] : listLines(snapshots, parent, style),
    };
  },
};

/** The snapshot that the local store was last equal to, from this host's own record. Makes no request. */
async function localParent(config: Config): Promise<string | undefined> {
  const [{ parseRemote }, { storeIdentity }, { locateHome }, { readState }] = await Promise.all([
    import('../../../remotes/remote-url.ts'),
    import('../../../stores/content/fingerprint.ts'),
    import('../../../home/home.ts'),
    import('../../../home/state.ts'),
  ]);
  const home = await locateHome(config.store ?? '');
  const state = await readState(home);
  if (state === undefined || state.identity !== (await storeIdentity(home.store))) return undefined;
  return state.remotes[parseRemote(config.remote ?? '').url]?.parent?.id;
}

function listLines(
  snapshots: readonly SnapshotSummary[],
  parent: string | undefined,
  style: Style,
): readonly string[] {
  const hasTips = snapshots.filter((each) => each.isTip).length > 1;
  const [header = '', ...lines] = table(
    [
      { title: 'SNAPSHOT' },
      { title: 'AGE', align: 'right' },
      { title: 'GEN', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'RECORDS', align: 'right' },
      { title: 'HOST' },
      { title: '' },
    ],
    snapshots.map((each) => [
      each.id,
      formatDuration(Math.max(0, each.ageMs)),
      String(each.generation),
      formatBytes(each.bytes),
      formatCount(each.records),
      printable(each.host),
      [
        each.id === parent ? '<- this store' : '',
        each.label === undefined ? '' : `"${printable(each.label)}"`,
        each.damaged === true ? 'damaged' : '',
        each.findings === undefined ? '' : counted(each.findings, 'finding'),
        hasTips && each.isTip ? 'tip' : '',
        each.log === undefined ? '' : reachText(each.log),
        each.pin === undefined ? '' : pinText(each.pin),
      ]
        .filter(Boolean)
        .join(', '),
    ]),
  );
  return [style.bold(header), ...lines];
}

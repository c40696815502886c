import {
  defaultHttpAddress,
  formatHttpAddress,
  httpAddressForm,
  parseHttpAddress,
} from '../../web/http-address.ts';
import { choice, duration, kind, milliseconds, readDuration, text } from '../kind.ts';
import type { SettingTable } from '../setting.ts';

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

const [shortestLeaseMs, longestLeaseMs] = [10_000, 24 * 3_600_000];

/** The agent that keeps running: when it backs up, and what it shows. */
export const agentTable = {
  interval: {
    kind: duration,
    help: 'Minimum time between snapshots; 0: only at fixed times',
    details: 'No change waits longer for its snapshot. With `0` there is also one at the end.',
    default: '1h',
    library: 'intervalMs',
  },
  cron: {
    kind: text('a cron expression such as "30 3 * * *"'),
    help: 'Fixed times for further snapshots, such as "30 3 * * *", in local time',
    details: '`TZ` names the time zone.',
    library: 'cron',
  },
  settle: {
    kind: duration,
    help: 'Time without a write to wait for after a change',
    details: 'It never delays a backup much.',
    default: '2s',
    library: 'settleMs',
  },
  detect: {
    kind: choice('auto', 'events', 'poll'),
    help: 'Way to notice changes: auto, events or poll',
    details:
      '`auto` uses events of the system as long as they prove true. With `--continuous` it looks, because the log tells of each write.',
    default: 'auto',
    library: 'detect',
  },
  pollInterval: {
    kind: duration,
    help: "Time between looks at the files' sizes and times",
    details: 'They find what events missed.',
    default: '30s',
    library: 'pollIntervalMs',
  },
  continuous: {
    kind: kind({
      expected: 'off, or a duration from 100ms to 1h',
      flag: 'switch',
      read: (input): number | 'off' | undefined => {
        if (input === true || input === 'true') return 2000;
        if (input === false || input === 'false' || input === 'off') return 'off';
        const ms = readDuration(input);
        return ms !== undefined && ms >= 100 && ms <= 3_600_000 ? ms : undefined;
      },
    }),
    help: 'Save each write of a Chroma store this long after it, such as 2s, or off',
    details:
      'From `100ms` to `1h`; without a value `2s`. [What is saved](commands.md#continuous) goes behind the newest snapshot, and `--interval` is then `24h` unless it is given.',
    defaultNote: 'off',
    library: {
      name: 'continuous.intervalMs',
      check: {
        expected: 'milliseconds from 100 to 3600000',
        isGood: (value) => typeof value === 'number' && value >= 100 && value <= 3_600_000,
      },
      from: (continuous: number | 'off'): number | undefined =>
        continuous === 'off' ? undefined : continuous,
    },
  },
  checkInterval: {
    kind: duration,
    help: 'Time between checks of the store while the agent runs; 0: none',
    details:
      'As [`check`](commands.md#check), in turn with backups. A store that was not written since is not read again, and checks take at most a thirtieth of the time.',
    default: '0s',
    library: 'checkIntervalMs',
  },
  checkServer: {
    kind: text('the URL of a Chroma server, such as http://127.0.0.1:8000'),
    help: 'URL of the running Chroma server, to ask it at each of these checks',
    library: 'checkServer',
    secrecy: 'may-hold-credential',
  },
  drillInterval: {
    kind: duration,
    help: 'Time between drills while the agent runs, such as 7d; 0: none',
    details:
      'As [`drill`](commands.md#drill), beside backups: the newest snapshot and the one that was drilled longest ago take turns. The time goes on while no agent runs; a host that never drilled begins within an hour.',
    default: '0s',
    library: 'drillIntervalMs',
  },
  drillServer: {
    kind: text('a command with {dir} and {port} in it, or off'),
    help: 'Command that starts a server for drills, with {dir} and {port} in it, or off',
    defaultNote: 'chroma, if it is installed',
    library: 'drillServer',
    secrecy: 'may-hold-credential',
  },
  copyTo: {
    kind: text('a URL such as s3://bucket/prefix, or a config file'),
    help: 'Second remote that snapshots are copied to: its URL, or its own config file',
    details:
      'As [`copy`](commands.md#copy). `run` and `watch` copy the newest snapshot after the start and after backups. A path is relative to the working directory.',
    library: {
      name: 'copyTo',
      check: {
        expected: 'the URL of a remote, or an object with one in `remote`',
        isGood: (value) => typeof (isObject(value) ? value['remote'] : value) === 'string',
      },
      from: (value: string): string => value,
    },
  },
  copyInterval: {
    kind: duration,
    help: 'Minimum time between copies to the second remote',
    details: 'A copy that failed is tried again within seconds, later within an hour.',
    default: '1h',
    library: 'copyIntervalMs',
  },
  lease: {
    kind: kind({
      expected: 'off, or a duration from 10s to 24h',
      read: (input): number | 'off' | undefined => {
        if (input === 'off') return 'off';
        const ms = readDuration(input);
        return ms !== undefined && ms >= shortestLeaseMs && ms <= longestLeaseMs ? ms : undefined;
      },
    }),
    help: 'Lifetime of the lease that run and watch renew, such as 60s, or off',
    details:
      'From `10s` to `24h`. [The lease](#hand-over-between-hosts) of a host that died lasts this long. A living host renews it every third of this time. Other commands take no lease.',
    defaultNote: 'off',
    library: {
      name: 'leaseMs',
      check: milliseconds,
      from: (lease: number | 'off'): number | undefined => (lease === 'off' ? undefined : lease),
    },
  },
  http: {
    kind: kind({
      expected: httpAddressForm,
      read: (input) => {
        if (input === true) return undefined;
        return input === false ? ('off' as const) : parseHttpAddress(String(input));
      },
    }),
    help: 'Address of the status page and metrics: [host:]port, or off',
    details: 'See [the pages](observability.md) of a running agent.',
    defaultNote: formatHttpAddress(defaultHttpAddress),
  },
  httpToken: {
    // It fits into a header, and is too long to be guessed.
    kind: kind({
      expected: 'at least 16 characters, printable ASCII without spaces',
      read: (input) =>
        typeof input === 'string' && /^[\x21-\x7e]{16,1024}$/.test(input) ? input : undefined,
    }),
    help: 'Token that POST requests must send; needed to listen beyond this host',
    details:
      'Sent as `Authorization: Bearer`. Every user of a host can read its command lines, so set it in the environment or the file.',
    secrecy: 'credential',
  },
  logFormat: {
    kind: choice('text', 'json'),
    help: 'Form of the log: text, or json (one object a line)',
    defaultNote: 'text on a terminal, else json',
  },
  shutdownBudget: {
    kind: duration,
    help: 'Time from the signal that stops the agent to its exit, last backup included',
    details:
      'Of a supervised command: 60% for the command to end, the rest for the last backup. Set less than the platform gives.',
    default: '25s',
  },
} as const satisfies SettingTable;

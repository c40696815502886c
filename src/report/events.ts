import type { AgentEvent, LeaseEvent, Phase, PhaseTime } from '../platform/events.ts';
import { counted, formatBytes, formatDuration, printable, table } from './format.ts';
import type { Style } from './style.ts';

/** The name of each phase while it goes on. */
export const phaseNames: Readonly<Record<Phase, string>> = {
  capture: 'Capturing the store',
  validate: 'Checking the store',
  hash: 'Comparing with the last snapshot',
  upload: 'Uploading',
  commit: 'Committing',
  publish: 'Publishing current files',
  rotate: 'Rotating',
  download: 'Downloading',
  flush: 'Flushing to disk',
  swap: 'Swapping the store',
  verify: 'Verifying',
  export: 'Exporting',
  import: 'Importing',
  index: 'Indexing',
  analyze: 'Measuring',
  mend: 'Mending the copy',
  archive: 'Writing the archive',
  copy: 'Copying to the second remote',
};

export type Verbosity = 'quiet' | 'normal' | 'verbose';

/** The lines that an event prints on stderr. Progress is not among them. */
export function linesOf(event: AgentEvent, verbosity: Verbosity, style: Style): readonly string[] {
  const isVerbose = verbosity === 'verbose';
  switch (event.type) {
    case 'warning':
      return [
        `${style.yellow('warning:')} ${event.message}`,
        ...(event.remedy === undefined ? [] : [`  ${event.remedy}`]),
      ];
    case 'diverged':
      return [`${style.yellow('warning:')} ${divergenceOf(event.tips)}`];
    case 'retry':
      return verbosity === 'quiet'
        ? []
        : [
            `${event.message}; trying again in ${formatDuration(event.delayMs)} (attempt ${event.attempt + 1})`,
          ];
    case 'captured': {
      const held = `writers held back ${formatDuration(event.heldMs)}`;
      return isVerbose
        ? [`Captured ${formatBytes(event.bytes)} in ${counted(event.attempts, 'attempt')}, ${held}`]
        : [];
    }
    case 'phases':
      return isVerbose ? phaseLines(event.phases) : [];
    case 'committed':
      return isVerbose ? [`Committed snapshot ${event.id} as generation ${event.generation}`] : [];
    case 'rotated':
      return isVerbose
        ? [
            `Deleted ${counted(event.objects, 'object')} of ${counted(event.snapshots.length, 'old snapshot')}`,
          ]
        : [];
    case 'restored':
      return isVerbose ? [`Snapshot ${event.id} is in place at "${event.store}"`] : [];
    case 'hook':
      return hookLines(event, isVerbose, style);
    case 'hook-output':
      return verbosity === 'quiet' ? [] : [`${event.hook}: ${printable(event.line)}`];
    case 'lease':
      return leaseLines(event, verbosity, style);
    case 'log-following':
    case 'log-pending':
    case 'log-shipped':
    case 'log-broken':
    case 'log-trouble':
    case 'phase':
    case 'progress':
      return [];
    default:
      return event satisfies never;
  }
}

/** There is one tip, so it is the store that diverged from it. */
export function divergenceOf(tips: readonly string[]): string {
  return tips.length === 1
    ? `The store and the remote have diverged; newest snapshot: ${tips.join('')}`
    : `Hosts wrote beside each other; tips: ${tips.join(', ')}`;
}

/** How long each phase took, how long nothing else was done, and what it moved. */
function phaseLines(phases: readonly PhaseTime[]): readonly string[] {
  const rows = phases.map(({ phase, tookMs, waitedMs, bytes }) => [
    phaseNames[phase],
    formatDuration(tookMs),
    formatDuration(waitedMs),
    bytes === 0 ? '' : formatBytes(bytes),
  ]);
  return table(
    [
      { title: 'Phase' },
      { title: 'took', align: 'right' },
      { title: 'alone', align: 'right' },
      { title: 'moved', align: 'right' },
    ],
    rows,
  );
}

function hookLines(
  { hook, outcome, durationMs, message = '' }: Extract<AgentEvent, { type: 'hook' }>,
  isVerbose: boolean,
  style: Style,
): readonly string[] {
  const after = formatDuration(durationMs);
  switch (outcome) {
    case 'ok':
      return isVerbose ? [`The ${hook} hook was done in ${after}`] : [];
    case 'failed':
      return [`${style.yellow('warning:')} The ${hook} hook failed after ${after}: ${message}`];
    case 'timed-out':
      return [`${style.yellow('warning:')} The ${hook} hook was ended: ${message} (see --hook-timeout)`];
    default:
      return outcome satisfies never;
  }
}

function leaseLines(event: LeaseEvent, verbosity: Verbosity, style: Style): readonly string[] {
  switch (event.state) {
    case 'waiting': {
      const who = event.host === undefined ? 'another host' : `host "${printable(event.host)}"`;
      const since = event.since === undefined ? '' : ` since ${event.since}`;
      return [
        `Waiting for ${who}, which has the lease${since}: until it hands over, ${formatDuration(event.atMostMs)} at most` +
          (event.expiresInMs < event.atMostMs ? `, ${formatDuration(event.expiresInMs)} if it is dead` : ''),
      ];
    }
    case 'lost': {
      const who = event.to === undefined ? 'another host' : `host "${printable(event.to)}"`;
      return [
        `${style.yellow('warning:')} The lease is lost to ${who}: snapshots of this host do not count as the newest any more`,
      ];
    }
    case 'acquired':
      return verbosity === 'verbose' ? [`Took the lease, epoch ${event.epoch}`] : [];
    case 'renewed':
      return [];
    case 'released':
      return verbosity === 'verbose' ? [`Gave the lease back, epoch ${event.epoch}`] : [];
    default:
      return event satisfies never;
  }
}

import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Remote } from '../../src/remotes/remote.ts';
import { startBuiltCli } from '../../test/support/built-cli.ts';
import type { Checkpoint } from '../../test/support/busy-writer.ts';
import { startAgent } from '../../test/support/running-agent.ts';
import type { LogLine, RunningAgent } from '../../test/support/running-agent.ts';
import type { Channel } from '../soak/channel.ts';
import type { Figures } from '../soak/figures.ts';
import { startLife } from '../soak/life.ts';
import type { Life, LifeServer } from '../soak/life.ts';
import { Timeline } from './timeline.ts';
import { timeOf } from './turns.ts';
import type { Trouble } from './turns.ts';
import type { Poll } from './audit-status.ts';
import type { VitalSigns } from './vital-signs.ts';

/** A running agent and what was seen of it. */
export interface Watched {
  readonly agent: RunningAgent;
  readonly pid: number;
  readonly startedMs: number;
  readonly polls: Poll[];
  readonly signs: VitalSigns[];
  /** Of the writer that it works beside. */
  era: Era;
  isEnding: boolean;
}

/** A writer's time with the store. */
export interface Era {
  readonly life: Life;
  readonly timeline: Timeline;
  readonly startedMs: number;
  /** When its writer began: what is captured before is of neither era. */
  readyMs: number;
  endedMs: number;
  /** What was captured until then is held against its writer. */
  leftMs: number;
  isForgotten: boolean;
}

export interface Stage {
  readonly figures: Figures;
  readonly random: () => number;
  readonly seed: number;
  readonly intervalMs: number;
  /** The disk of the agent's machine. */
  readonly disk: string;
  readonly scratch: string;
  readonly remote: string;
  readonly channel: Channel;
  /** The server without the proxy, for those who look. */
  readonly endpoint: string;
  readonly direct: Remote;
  readonly env: Readonly<Record<string, string>>;
  readonly troubles: Trouble[];
  readonly agents: Watched[];
  readonly eras: Era[];
  /** Snapshots that were asked for by hand, and when the command had ended. */
  readonly byHand: Map<string, number>;
  readonly say: (line: string) => void;
  /** Every snapshot that was ever seen in the remote. */
  readonly seen: Set<string>;
  /** True while the remote is changed by somebody other than the agent. */
  isCrowded: boolean;
}

export const storeOf = ({ disk }: Pick<Stage, 'disk'>): string => join(disk, 'store');
const pace = { workers: 2, batchSize: 6, pauseMs: 120 };
const lookMs = 150;
const chromaScript = join(import.meta.dirname, '../chroma-server.sh');

export function agentOf(stage: Stage): Watched {
  const agent = stage.agents.at(-1);
  if (agent === undefined) throw new Error('There is no agent');
  return agent;
}

export function eraOf(stage: Stage): Era {
  const era = stage.eras.at(-1);
  if (era === undefined) throw new Error('There is no era');
  return era;
}

const settingsOf = (stage: Stage, store = storeOf(stage)): readonly string[] => [
  `--store=${store}`,
  `--remote=${stage.remote}`,
  '--host=soaked',
  '--keep=6',
  '--grace=60s',
  '--rollback-copies=1',
  '--max-shrink=100%',
];

/** Begins an era on the store as it is, and ties its writer to the clock. */
export async function beginEra(
  stage: Stage,
  options: Pick<Parameters<typeof startLife>[0], 'restored'> & { readonly server?: LifeServer } = {},
): Promise<Era> {
  const { seed, figures } = stage;
  const startedMs = Date.now();
  const number = stage.eras.length + 1;
  const life = await startLife({ number, store: storeOf(stage), seed, figures, pace, ...options });
  const readyMs = Date.now();
  const open = { endedMs: Infinity, leftMs: Infinity, isForgotten: false };
  const era: Era = { life, timeline: new Timeline(), startedMs, readyMs, ...open };
  stage.eras.push(era);
  void keepLooking(era);
  return era;
}

async function keepLooking(era: Era): Promise<void> {
  while (!era.isForgotten) {
    const checkpoint = await checkpointOf(era).catch(() => undefined);
    if (checkpoint === undefined) return;
    await sleep(lookMs);
  }
}

/** The only way to look at a writer: a look takes a number of its order, which the timeline has to know of. */
export async function checkpointOf({ life, timeline }: Era): Promise<Checkpoint> {
  const askedMs = Date.now();
  const checkpoint = await life.checkpoint();
  timeline.add({ askedMs, answeredMs: Date.now(), checkpoint });
  return checkpoint;
}

/** Starts the agent beside the store, or with Chroma below it on `port`. Resolves once it watches and serves its page. */
export async function startWatched(stage: Stage, port?: number): Promise<Watched> {
  const chroma = port === undefined ? [] : ['--', chromaScript, 'start', storeOf(stage), String(port)];
  const startedMs = Date.now();
  const own = [`--interval=${stage.intervalMs}ms`, '--settle=500ms', '--http=127.0.0.1:0', '--verbose'];
  const agent = startAgent(
    [
      port === undefined ? 'watch' : 'run',
      ...settingsOf(stage),
      `--s3-endpoint=${stage.channel.endpoint}`,
      ...own,
      ...chroma,
    ],
    {
      ...stage.env,
      // A Chroma server that is told to end waits for its clients' connections: for as long as it is let.
      CHROMA_DIE_WITH_PARENT: '1',
      ...(port === undefined ? {} : { SYNC_AGENT_SHUTDOWN_BUDGET: '30s' }),
    },
  );
  const { pid = 0 } = agent.child;
  const era = eraOf(stage);
  const watched: Watched = { agent, pid, startedMs, era, polls: [], signs: [], isEnding: false };
  stage.agents.push(watched);
  await sawLine(stage, watched, 'a start', startedMs, ({ type }) => type === 'started', 60_000);
  await sawLine(stage, watched, 'a page', startedMs, ({ type }) => type === 'listening', 10_000);
  return watched;
}

/** The first line since a moment that is of this kind; a finding, and undefined, if none comes in time. */
export async function sawLine(
  { figures }: Stage,
  { agent, pid }: Watched,
  what: string,
  sinceMs: number,
  isIt: (line: LogLine) => boolean,
  patienceMs: number,
): Promise<LogLine | undefined> {
  const untilMs = Date.now() + patienceMs;
  for (;;) {
    const line = agent.log.find((each) => timeOf(each) >= sinceMs && isIt(each));
    if (line !== undefined) return line;
    const isOver = agent.child.exitCode !== null || agent.child.signalCode !== null;
    if (isOver || Date.now() > untilMs) {
      const last = agent.log.slice(-5).map(({ msg }) => msg);
      figures.find(
        `agent ${pid} gave no sign of ${what} in ${patienceMs} ms${isOver ? ', and ended' : ''}: ${last.join(' | ')}`,
      );
      return undefined;
    }
    await sleep(50);
  }
}

/** Ends the agent by a signal, and waits until it is gone. */
export async function endWatched(
  watched: Watched,
  signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL',
): Promise<{
  readonly exitCode: number | null;
  readonly lastLine: LogLine | undefined;
  readonly stdout: string;
}> {
  watched.isEnding = true;
  const { exitCode, stdout } = await watched.agent.stop(signal);
  return { exitCode, lastLine: watched.agent.log.findLast(({ type }) => type === 'stopped'), stdout };
}

/** Runs a command beside the agent as its operator would, or past the proxy as a reader elsewhere. */
export async function command(
  stage: Stage,
  args: readonly string[],
  {
    isDirect = false,
    store = storeOf(stage),
    rest = [],
  }: { readonly isDirect?: boolean; readonly store?: string; readonly rest?: readonly string[] } = {},
): Promise<{
  readonly exitCode: number | null;
  readonly result: Readonly<Record<string, unknown>>;
  readonly said: string;
}> {
  const endpoint = isDirect ? stage.endpoint : stage.channel.endpoint;
  const { exitCode, stdout, stderr } = await startBuiltCli(
    [...args, '--json', '--s3-endpoint', endpoint, ...settingsOf(stage, store), ...rest],
    stage.env,
  ).done;
  const said = `sync-agent ${args.join(' ')}: exit ${exitCode}\n${stdout}${stderr}`;
  const result = stdout.startsWith('{') ? (JSON.parse(stdout) as Record<string, unknown>) : {};
  return { exitCode, result, said };
}

/** Notes that the agent may be late while `work` goes on. */
export async function amidTrouble<T>(stage: Stage, what: string, work: () => Promise<T>): Promise<T> {
  const trouble: Trouble = { fromMs: Date.now(), toMs: Infinity, what };
  stage.troubles.push(trouble);
  try {
    return await work();
  } finally {
    trouble.toMs = Date.now();
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

import { auditLag } from './audit-lag.ts';
import { auditSchedule } from './audit-schedule.ts';
import { auditStatus } from './audit-status.ts';
import type { Stage, Watched } from './stage.ts';
import { instantOf, turnsOf } from './turns.ts';
import { judgeMemory } from './judge-memory.ts';

/**
 * After the run: holds everything that was logged and seen against what is promised. Returns the resident memory of the agent
 * that lived longest, each sample with its age.
 */
export function audit(stage: Stage): readonly { readonly seconds: number; readonly mib: number }[] {
  const { figures, agents, eras, intervalMs, troubles, seen, byHand } = stage;
  const turns = agents.flatMap(({ pid, agent }) => turnsOf({ pid, lines: agent.log }));
  const logged = turns.flatMap(({ snapshot }) => snapshot ?? []);
  const others = [...new Set([...seen, ...byHand.keys()])].filter((id) => !logged.includes(id));
  const find = (findings: readonly string[]): void => {
    for (const finding of findings) figures.find(finding);
  };
  for (const { reason, outcome } of turns)
    figures.count(`backups (${reason})`, outcome ?? 'cut off with the agent');
  for (const { committedMs, startedMs, snapshot } of turns)
    if (snapshot !== undefined && committedMs !== undefined)
      figures.time('start of a backup to its commit', committedMs - startedMs);
  find(auditSchedule({ intervalMs, turns, others, troubles }));

  for (const era of eras) {
    const snapshots = [...logged, ...others].filter(
      (id) => instantOf(id) >= era.readyMs && instantOf(id) < era.leftMs,
    );
    const endedMs = Math.min(era.leftMs, Date.now());
    const lag = auditLag({ intervalMs, writes: era.timeline.writes(), snapshots, endedMs, turns, troubles });
    find(lag.findings.slice(0, 5));
    for (const ms of lag.calmMs) figures.time('write to the instant of its snapshot, nothing in the way', ms);
    figures.count('writes', 'moments held against snapshots', era.timeline.writes().length);
  }
  for (const watched of agents) {
    const { pid, agent, polls, era } = watched;
    find(
      auditStatus({ log: { pid, lines: agent.log }, polls, timeline: era.timeline, troubles }).slice(0, 10),
    );
    figures.count('asked', '/status.json held against log and writer', polls.length);
    find(auditProcess(watched));
  }
  const longest = agents.toSorted((a, b) => lifeMs(b) - lifeMs(a))[0];
  if (longest === undefined) return [];
  const memory = judgeMemory(longest.signs);
  for (const [name, value] of Object.entries(memory.figures)) figures.count('memory', name, value);
  find(memory.findings.map((finding) => `agent ${longest.pid}: ${finding}`));
  return longest.signs.map(({ atMs, rssBytes }) => ({
    seconds: Math.round((atMs - longest.startedMs) / 1000),
    mib: Math.round((rssBytes / mib) * 10) / 10,
  }));
}

const lifeMs = ({ signs }: Watched): number => (signs.at(-1)?.atMs ?? 0) - (signs[0]?.atMs ?? 0);

/** An operation, a look at the remote beside the first one, and the command of `run`. */
const mostChildren = 3;
/** What chance connections and operations may add. */
const moreDescriptors = 8;

function auditProcess({ pid, signs }: Watched): readonly string[] {
  const findings: string[] = [];
  const most = Math.max(0, ...signs.map(({ children }) => children.length));
  if (most > mostChildren) findings.push(`agent ${pid} had ${most} children at once`);
  for (const [index, { zombies }] of signs.entries()) {
    const stays = zombies.find((zombie) => signs[index + 1]?.zombies.includes(zombie));
    if (stays !== undefined) findings.push(`agent ${pid} leaves process ${stays} unwaited for`);
  }
  const [early, late] = [signs.slice(3, 8), signs.slice(-5)].map((some) =>
    least(some.map(({ descriptors }) => descriptors)),
  );
  if (signs.length > 20 && late !== undefined && early !== undefined && late > early + moreDescriptors)
    findings.push(`agent ${pid} had ${early} open descriptors, and ${late} at the end`);
  return findings;
}

const mib = 1024 ** 2;
const least = (values: readonly number[]): number => Math.min(...values);

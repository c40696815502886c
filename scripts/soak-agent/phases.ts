import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChromaClient } from 'chromadb';
import { quietly, checkFinal, recovered, restoreInPlace, statusThat } from './calm.ts';
import { liveIds, look, restoreBeside } from './copies.ts';
import {
  agentOf,
  amidTrouble,
  beginEra,
  checkpointOf,
  command,
  endWatched,
  eraOf,
  freePort,
  sawLine,
  startWatched,
  storeOf,
} from './stage.ts';
import type { Stage } from './stage.ts';
import { childrenOf } from './vital-signs.ts';

export type Phase = (stage: Stage) => Promise<void>;

/** What an agent lives through. */
export const harmless: Readonly<Record<string, Phase>> = {
  busy: ({ intervalMs }) => sleep(3 * intervalMs),
  quiet: (stage) => quietly(stage),
  faults: (stage) => withRemote(stage, 'faults', (isOn) => stage.channel.setRough(isOn)),
  outage: (stage) => withRemote(stage, 'outage', (isOn) => stage.channel.setOut(isOn)),
  'operation killed': killOperation,
  stopped: stopAndContinue,
  notified: notify,
  'second agent': compete,
  'backup by hand': backUpByHand,
};

/** What ends it. */
export const deadly: Readonly<Record<string, Phase>> = {
  SIGKILL: kill,
  SIGTERM: terminate,
  'disk lost': loseDisk,
  run: (stage) => runChroma(stage, { isDiskLost: false, isKilled: false }),
  'run after a lost disk, and killed': (stage) => runChroma(stage, { isDiskLost: true, isKilled: true }),
};

const between = ({ random }: Stage, from: number, to: number): number => from + random() * (to - from);

async function withRemote(stage: Stage, what: string, set: (isOn: boolean) => Promise<void>): Promise<void> {
  await amidTrouble(stage, what, async () => {
    await set(true);
    await sleep(between(stage, 2, 3.5) * stage.intervalMs);
    await set(false);
    await recovered(stage, what);
  });
}

async function killOperation(stage: Stage): Promise<void> {
  const { agent, pid } = agentOf(stage);
  const isStart = (line: { readonly type: string }): boolean => line.type === 'operation-started';
  const started = await sawLine(stage, agentOf(stage), 'a backup', Date.now(), isStart, 60_000);
  if (started === undefined) return;
  const startedMs = Date.parse(started.time);
  await amidTrouble(stage, 'operation killed', async () => {
    await sleep(between(stage, 100, 1200));
    const [child] = await childrenOf(pid);
    if (child === undefined) return stage.figures.count('SIGKILL that came too late', 'operation');
    process.kill(child, 'SIGKILL');
    const killedMs = Date.now();
    stage.figures.count('SIGKILL', 'operation');
    const ends = ['operation-failed', 'operation-finished'];
    const end = await sawLine(
      stage,
      agentOf(stage),
      'its end',
      startedMs,
      ({ type }) => ends.includes(type),
      10_000,
    );
    if (end?.type === 'operation-failed') {
      stage.figures.time('death of an operation to its event', Math.max(0, Date.parse(end.time) - killedMs));
      const { code } = end['error'] as { code: string };
      if (code !== 'INTERNAL') stage.figures.find(`an operation that was killed failed with ${code}`);
      await statusThat(stage, 'an operation died', ({ lastError }) => lastError?.code === 'INTERNAL', 4000);
    }
    await recovered(stage, 'a killed operation');
  });
  if (agent.child.exitCode !== null) stage.figures.find(`agent ${pid} died with its operation`);
}

async function stopAndContinue(stage: Stage): Promise<void> {
  const { pid } = agentOf(stage);
  // Both: that nobody may judge the agent, and that it answers nothing meanwhile.
  await amidTrouble(stage, 'stopped', async () => {
    process.kill(pid, 'SIGSTOP');
    await sleep(between(stage, 0.5, 2) * stage.intervalMs);
    process.kill(pid, 'SIGCONT');
    stage.figures.count('signals', 'SIGSTOP and SIGCONT');
    await sleep(2000);
  });
  await recovered(stage, 'SIGCONT');
}

/** A notification without a change asks it to look, and what it finds is worth no request. */
async function notify(stage: Stage): Promise<void> {
  await quietly(stage, async () => {
    const sinceMs = Date.now();
    const { exitCode, said } = await command(stage, ['notify']);
    if (exitCode !== 0) stage.figures.find(`a notification failed: ${said}`);
    const isLook = (line: { readonly type: string; readonly [field: string]: unknown }): boolean =>
      line.type === 'operation-finished' && line['outcome'] === 'unchanged';
    await sawLine(stage, agentOf(stage), 'a look after a notification', sinceMs, isLook, 11_000);
    stage.figures.count('signals', 'notify');
  });
}

async function compete(stage: Stage): Promise<void> {
  const first = agentOf(stage);
  for (const args of [['watch'], ['run', '--', 'true']]) {
    const at = args.indexOf('--');
    const own = at < 0 ? args : args.slice(0, at);
    const rest = at < 0 ? [] : args.slice(at);
    const { exitCode, said } = await command(stage, [...own, '--http', 'off'], { rest });
    if (exitCode !== 8 || !said.includes(String(first.pid)))
      stage.figures.find(`a second agent was not refused, naming ${first.pid}: ${said}`);
    stage.figures.count('second agents refused', own.join(' '));
  }
  await recovered(stage, 'a second agent');
}

/** Beside the agent: it is made, or refused while the agent works; the schedule goes on from it. */
async function backUpByHand(stage: Stage): Promise<void> {
  stage.isCrowded = true;
  try {
    await amidTrouble(stage, 'backup by hand', async () => {
      for (let attempt = 0; attempt < 5; attempt += 1) {
        const { exitCode, result, said } = await command(stage, ['backup']);
        if (exitCode === 0 && typeof result['id'] === 'string') stage.byHand.set(result['id'], Date.now());
        else if (exitCode !== 8) stage.figures.find(`a backup beside the agent failed: ${said}`);
        stage.figures.count('backups by hand', exitCode === 0 ? String(result['type']) : `exit ${exitCode}`);
        if (exitCode === 0) break;
        await sleep(500);
      }
      await recovered(stage, 'a backup by hand');
    });
  } finally {
    stage.isCrowded = false;
  }
}

async function kill(stage: Stage): Promise<void> {
  await amidTrouble(stage, 'down', async () => {
    await sleep(between(stage, 0, 1) * stage.intervalMs);
    await endWatched(agentOf(stage), 'SIGKILL');
    stage.figures.count('SIGKILL', 'watch');
    await sleep(between(stage, 0, 3000));
    await startWatched(stage);
    await recovered(stage, 'SIGKILL');
  });
}

/** All that was acknowledged before the signal is in the snapshot that the exit code answers for. */
async function terminate(stage: Stage): Promise<void> {
  await amidTrouble(stage, 'down', async () => {
    await sleep(between(stage, 0, 1) * stage.intervalMs);
    const signal = stage.random() < 0.5 ? 'SIGTERM' : 'SIGINT';
    const era = eraOf(stage);
    const from = await checkpointOf(era);
    const began = performance.now();
    const { exitCode, lastLine, stdout } = await endWatched(agentOf(stage), signal);
    stage.figures.time(`${signal} to exit`, performance.now() - began);
    stage.figures.count('signals', signal);
    if (exitCode !== 0 || lastLine?.['isSaved'] !== true)
      stage.figures.find(`the final backup after ${signal}: exit ${exitCode}, ${lastLine?.msg} ${stdout}`);
    const [newest = ''] = (await liveIds(stage)).slice(-1);
    const { all } = await era.life.expectation(from, await checkpointOf(era));
    await startWatched(stage);
    await restoreBeside(stage, newest, all, 'copies of final backups');
    await recovered(stage, signal);
  });
}

async function loseDisk(stage: Stage): Promise<void> {
  await amidTrouble(stage, 'down', async () => {
    const era = eraOf(stage);
    const operations = await childrenOf(agentOf(stage).pid);
    await endWatched(agentOf(stage), 'SIGKILL');
    for (const pid of operations) await killAndWait(pid);
    await era.life.die();
    [era.endedMs, era.leftMs] = [Date.now(), Date.now()];
    stage.figures.count('disasters', 'disk lost');
    await rm(stage.disk, { recursive: true, force: true });
    const restored = await restoreInPlace(stage);
    await look(stage, 'stores restored in place', storeOf(stage), restored.all);
    await beginEra(stage, { restored });
    await startWatched(stage);
    await recovered(stage, 'a lost disk');
  });
}

/** The agent as the parent of the application: on the disk that there is, or on an empty one. */
async function runChroma(
  stage: Stage,
  how: { readonly isDiskLost: boolean; readonly isKilled: boolean },
): Promise<void> {
  await amidTrouble(stage, 'down', async () => {
    const era = eraOf(stage);
    await era.life.pause();
    const { exitCode } = await endWatched(agentOf(stage), 'SIGTERM');
    if (exitCode !== 0) stage.figures.find(`the final backup before run: exit ${exitCode}`);
    await era.life.die({ signal: 'SIGINT' });
    [era.endedMs, era.leftMs] = [Date.now(), Date.now()];
    if (how.isDiskLost) await rm(stage.disk, { recursive: true, force: true });
    const now = await checkpointOf(era);
    const expected = await era.life.expectation(now, now);
    const port = await freePort();
    const watched = await startWatched(stage, port);
    await answers(stage, port);
    const server = {
      port,
      client: new ChromaClient({ host: '127.0.0.1', port }),
      ended: never,
      stop: async () => undefined,
    };
    watched.era = await beginEra(stage, { restored: expected, server });
    await recovered(stage, 'the start of run');
  });
  stage.figures.count('run', how.isDiskLost ? 'on an empty disk' : 'on the present disk');
  await sleep(2 * stage.intervalMs);
  await quietly(stage);
  await amidTrouble(stage, 'down', async () => {
    const era = eraOf(stage);
    const watched = agentOf(stage);
    if (how.isKilled) {
      const chroma = watched.agent.log.find(({ type }) => type === 'command-started')?.['pid'];
      await endWatched(watched, 'SIGKILL');
      await killAndWait(Number(chroma));
      stage.figures.count('SIGKILL', 'run');
    } else {
      const began = performance.now();
      const { lastLine } = await endWatched(watched, 'SIGTERM');
      stage.figures.time('SIGTERM of run to exit', performance.now() - began);
      if (lastLine?.['isSaved'] !== true) stage.figures.find(`run ended without saving: ${lastLine?.msg}`);
    }
    await era.life.die({ seesEnd: true });
    [era.endedMs, era.leftMs] = [Date.now(), Date.now()];
    if (!how.isKilled) await checkFinal(stage, 'run');
    const now = await checkpointOf(era);
    await beginEra(stage, { restored: await era.life.expectation(now, now) });
    await startWatched(stage);
    await recovered(stage, 'run');
  });
}

const never = new Promise<string>(() => undefined);

async function answers(stage: Stage, port: number): Promise<void> {
  const untilMs = Date.now() + 60_000;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v2/heartbeat`).catch(() => undefined);
    if (answer?.ok === true) return;
    if (Date.now() > untilMs) return stage.figures.find('Chroma below run does not answer');
    await sleep(100);
  }
}

/** Ends a process whose parent is gone, as the machine's end would. */
async function killAndWait(pid: number): Promise<void> {
  try {
    for (;;) {
      process.kill(pid, 'SIGKILL');
      await sleep(50);
    }
  } catch {
    // There is no such process any more.
  }
}

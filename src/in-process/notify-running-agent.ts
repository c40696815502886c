import { notifyAgent } from '../agent/notifications.ts';
import type { Context } from '../engine/context.ts';
import { isAgentRunning } from '../home/lock.ts';
import { messageOf } from '../platform/errors.ts';

/** Tells the agent that runs beside the store, if one does, that the store was written. A failure is told, and is none of the work's. */
export async function notifyRunningAgent({ home, fs, clock, emit }: Context): Promise<void> {
  try {
    if (await isAgentRunning(home)) await notifyAgent(fs, home, clock.now());
  } catch (error) {
    const message = `The agent could not be told that the store was written: ${messageOf(error)}`;
    emit({ type: 'warning', code: 'NOTICE', message });
  }
}

import type { DoctorReport } from '../../engine/doctor/doctor.ts';
import { createAgent } from '../../in-process/create-agent.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { parseLayer } from '../../settings/parse-layer.ts';
import { placeKeys } from '../../settings/settings.ts';
import type { Config } from '../../settings/settings.ts';
import { agentSettings } from '../../settings/use-config.ts';
import type { InitAnswers } from './plan-init.ts';

/** Runs `doctor` with the answers in place of the settings that say where the store and the remote are. */
export type TryAnswers = (answers: InitAnswers) => Promise<DoctorReport>;

export function tryAnswersWith(config: Config, signal: AbortSignal): TryAnswers {
  const others = Object.fromEntries(
    Object.entries(config).filter(([key]) => !placeKeys.some((place) => place === key)),
  ) as Config;
  return async ({ store, remote, settings }) => {
    const answered = parseLayer({ values: settings, nameOf: (key) => key });
    const agent = createAgent(agentSettings({ ...others, ...answered, store, remote }));
    try {
      return await agent.doctor({ signal });
    } finally {
      await agent.close();
    }
  };
}

/** The error for answers that failed a check: they are not written. */
export function checksFailed(worst: NonNullable<DoctorReport['worst']>): SyncAgentError {
  return new SyncAgentError(worst, 'Cannot set up: a check failed, so nothing was written', {
    remedy: 'Fix what failed, change the answers, or add --skip-doctor',
  });
}

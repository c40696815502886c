import { agentSettings, hookSettings, httpSettings } from '../../../settings/use-config.ts';
import type { Config } from '../../../settings/settings.ts';
import type { Daemon } from '../../../agent/daemon.ts';
import { styleFor } from '../../../report/style.ts';

/** The agent that `watch` and `run` keep running. It logs to stderr. */
export async function openAgent(config: Config, command: string): Promise<Daemon> {
  const [{ openDaemon }, { createDaemonLog, defaultLogFormat }] = await Promise.all([
    import('../../../library/open-daemon.ts'),
    import('../../../report/daemon-log.ts'),
  ]);
  const { stderr, env } = process;
  const log = createDaemonLog({
    format: config.logFormat ?? defaultLogFormat(stderr),
    level: config.quiet === true ? 'warn' : config.verbose === true ? 'debug' : 'info',
    stream: stderr,
    style: styleFor(stderr, env),
  });
  const http = httpSettings(config) ?? undefined;
  const hooks = hookSettings(config, env);
  const { copyTargetNamed } = await import('../../../settings/copy-target.ts');
  const copyTo =
    config.copyTo === undefined ? undefined : await copyTargetNamed(config.copyTo, process.cwd());
  return openDaemon({ ...agentSettings(config), copyTo, http, hooks }, { command, emit: log.emit });
}

import { spawnSync } from 'node:child_process';

/**
 * Why a test cannot run here that needs these programs; undefined where it can. Says the reason on stderr. With
 * SYNC_AGENT_TEST_REQUIRE_TOOLS=1 it throws instead, so that nothing is skipped.
 */
export function missingTools(tools: readonly string[], what: string): string | undefined {
  const absent = tools.filter((tool) => !isInstalled(tool));
  if (absent.length === 0) return undefined;
  const why = `${absent.join(', ')} not found`;
  if (process.env['SYNC_AGENT_TEST_REQUIRE_TOOLS'] === '1')
    throw new Error(`SYNC_AGENT_TEST_REQUIRE_TOOLS is set, but for ${what}: ${why}`);
  process.stderr.write(`\nSKIPPING ${what}: ${why}\n\n`);
  return why;
}

/** A shim in PATH need not have a program behind it: it ends with the shell's code for a missing one. */
function isInstalled(tool: string): boolean {
  const { error, status } = spawnSync(tool, ['--version'], { stdio: 'ignore' });
  return error === undefined && status !== 126 && status !== 127;
}

/**
 * A process that backs one store up as often as it is told, a change before each, through the library.
 *
 * usage: commit-many-child.ts '{"settings": AgentSettings, "commits": N}'
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { AgentSettings } from '../../src/in-process/agent-settings.ts';

const { settings, commits } = JSON.parse(process.argv[2] ?? '') as {
  readonly settings: AgentSettings;
  readonly commits: number;
};
const agent = createAgent(settings);
await mkdir(settings.store, { recursive: true });
for (let n = 1; n <= commits; n += 1) {
  await writeFile(join(settings.store, 'data'), `${settings.host}, commit ${n}, ${'x'.repeat(1000)}`);
  const result = await agent.backup();
  if (result.type !== 'committed')
    throw new Error(`Commit ${n} of "${settings.host}": ${JSON.stringify(result)}`);
}
await agent.close();

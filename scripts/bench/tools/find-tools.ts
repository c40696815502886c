import { aws } from './aws.ts';
import { rclone } from './rclone.ts';
import { restic } from './restic.ts';
import { syncAgent } from './sync-agent.ts';
import type { Tool } from './tool.ts';

export interface FoundTools {
  readonly agent: Tool;
  /** What is installed, sync-agent first. */
  readonly tools: readonly Tool[];
  readonly missing: readonly string[];
}

/** `work` gets a copy of dist/, so that a rebuild changes nothing. */
export function findTools(work: string): FoundTools {
  const agent = syncAgent(work);
  const others = { rclone: rclone(), aws: aws(), restic: restic() };
  return {
    agent,
    tools: [agent, ...Object.values(others).filter((tool) => tool !== undefined)],
    missing: Object.entries(others).flatMap(([name, tool]) => (tool === undefined ? [name] : [])),
  };
}

/** The other side of lease-holder.ts: an agent that has the lease, does what the messages ask, and dies with its parent. */
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { Lease } from '../../src/engine/lease/lease.ts';
import type { HolderOptions, HolderTask } from './lease-holder.ts';

const { ttlMs, ...settings } = JSON.parse(process.argv[2] ?? '{}') as HolderOptions;
const agent = createAgent(settings);
let lease: Lease | undefined;

async function perform(task: HolderTask): Promise<unknown> {
  if (task === 'acquire') return (lease = await agent.acquireLease({ ttlMs }));
  if (lease === undefined) throw new Error(`Cannot ${task}: there is no lease`);
  switch (task) {
    case 'backup':
      return agent.backup({ epoch: lease.epoch });
    case 'renew': {
      const renewed = await agent.renewLease(lease);
      if (renewed.type === 'renewed') ({ lease } = renewed);
      return renewed;
    }
    case 'release':
      return agent.releaseLease(lease);
  }
}

process.on('disconnect', () => process.exit(0));
process.on('message', (task: HolderTask) => {
  perform(task).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});

import { Gauge, Registry } from 'prom-client';
import type { DaemonStatus, RecordedEvent } from '../../api/daemon-status.ts';
import { createCounters } from './counters.ts';
import { gaugeHelp, gaugeValues } from './gauges.ts';
import type { GaugeName } from './gauges.ts';
import type { DiskFacts } from '../disk-facts.ts';

export interface Metrics {
  readonly contentType: string;
  /** Counts what happens. */
  record(event: RecordedEvent): void;
  /** Everything, in Prometheus' text format. */
  render(status: DaemonStatus, facts: DiskFacts | null): Promise<string>;
}

const states = [
  'starting',
  'idle',
  'waiting',
  'working',
  'stopping',
  'stopped',
] as const satisfies readonly DaemonStatus['state'][];

/** The metrics of one agent, in a registry of their own. Gauges are read on request, counters are fed by events. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const names = Object.keys(gaugeHelp) as GaugeName[];
  const gauges = names.map((name) => [name, new Gauge({ name, help: gaugeHelp[name], registers })] as const);
  const buildInfo = new Gauge({
    name: 'sync_agent_build_info',
    help: 'Always 1; the versions of the agent and of Node',
    labelNames: ['version', 'node_version'],
    registers,
  });
  const state = new Gauge({
    name: 'sync_agent_state',
    help: '1 for the state that the agent is in, 0 for the others',
    labelNames: ['state'],
    registers,
  });
  const record = createCounters(registry);
  return {
    contentType: registry.contentType,
    record,
    render: async (status, facts) => {
      const values = gaugeValues(status, facts);
      for (const [name, gauge] of gauges) {
        const value = values[name] ?? null;
        if (value === null || !Number.isFinite(value)) gauge.remove();
        else gauge.set(value);
      }
      buildInfo.set({ version: status.version, node_version: process.version }, 1);
      for (const each of states) state.set({ state: each }, each === status.state ? 1 : 0);
      return registry.metrics();
    },
  };
}

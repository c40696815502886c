import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { createMetrics } from '../../../src/web/metrics/metrics.ts';
import type { Metrics } from '../../../src/web/metrics/metrics.ts';
import type { DaemonStatus } from '../../../src/api/daemon-status.ts';
import type { DiskFacts } from '../../../src/web/disk-facts.ts';
import { exitCodes } from '../../../src/platform/errors.ts';
import { sampleCosts, sampleEvents } from '../../support/sample-events.ts';
import { noon, sampleFacts, sampleStatuses, savedStatus } from '../../support/sample-status.ts';

interface Family {
  readonly help: string;
  readonly type: string;
  readonly samples: Map<string, number>;
}

/** Prometheus' text format, read strictly: a line that is none of its three kinds is an error. */
function parse(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let name = '';
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const help = /^# HELP ([a-z_]+) (.+)$/.exec(line);
    const type = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(line);
    const sample =
      /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (-?[0-9.]+(?:e[+-]?\d+)?|\+Inf|NaN)$/.exec(
        line,
      );
    if (help) {
      name = help[1] ?? '';
      families.set(name, { help: help[2] ?? '', type: '', samples: new Map() });
    } else if (type) {
      const family = families.get(name);
      if (family !== undefined) families.set(name, { ...family, type: type[2] ?? '' });
    } else if (sample) {
      expect(sample[1]?.startsWith(name)).toBe(true);
      families.get(name)?.samples.set(`${sample[1]}${sample[2] ?? ''}`, Number(sample[3]));
    } else throw new Error(`no line of the format: ${line}`);
  }
  return families;
}

let metrics: Metrics;
beforeEach(() => {
  metrics = createMetrics();
});
const scrape = async (status: DaemonStatus = savedStatus, facts: DiskFacts | null = sampleFacts) =>
  parse(await metrics.render(status, facts));
const samplesOf = async (...args: Parameters<typeof scrape>) =>
  Object.fromEntries([...(await scrape(...args)).values()].flatMap(({ samples }) => [...samples]));
const tell = (event: (typeof sampleEvents)[keyof typeof sampleEvents]) =>
  metrics.record({ atMs: noon, event });

describe('metrics', () => {
  it('follow the conventions: a prefix, base units, _total for counters only, a help text', async () => {
    for (const [name, { type, help }] of await scrape()) {
      expect(name).toMatch(/^(sync_agent|process)_[a-z]+(_[a-z]+)*$/);
      expect({ name, isTotal: name.endsWith('_total') }).toEqual({ name, isTotal: type === 'counter' });
      expect(name).not.toMatch(/_(ms|milliseconds|minutes|kb|kib|mb|mib|percent)(_|$)/);
      expect(help).toMatch(/^[A-Z01].{10,}[^.]$/);
    }
  });

  it('show the status in seconds and bytes', async () => {
    expect(await samplesOf(sampleStatuses.unsaved)).toMatchObject({
      [`sync_agent_build_info{version="0.1.0",node_version="${process.version}"}`]: 1,
      sync_agent_interval_seconds: 3600,
      sync_agent_last_success_timestamp_seconds: noon / 1000 - 57 * 60,
      sync_agent_last_snapshot_timestamp_seconds: noon / 1000 - 4 * 60,
      sync_agent_next_backup_timestamp_seconds: noon / 1000 + 180,
      sync_agent_dirty: 1,
      sync_agent_dirty_since_timestamp_seconds: noon / 1000 - 720,
      sync_agent_overdue: 0,
      sync_agent_failing: 0,
      sync_agent_tips: 1,
      sync_agent_snapshots: 24,
      sync_agent_newest_snapshot_records: 14_630,
      sync_agent_store_bytes: 53 * 1024 ** 2,
      sync_agent_store_files: 17,
      sync_agent_copy_success_timestamp_seconds: noon / 1000 - 5 * 60,
      sync_agent_copy_failures: 2,
      sync_agent_drill_passed: 1,
      sync_agent_drill_server_answered: 1,
      sync_agent_drill_seconds: 8.4,
      sync_agent_drill_timestamp_seconds: noon / 1000 - 26 * 3600,
      sync_agent_drill_passed_timestamp_seconds: noon / 1000 - 26 * 3600,
      sync_agent_store_users_memory_bytes: 187 * 1024 ** 2,
      sync_agent_rollback_copies: 1,
      sync_agent_rollback_copies_bytes: 41 * 1024 ** 2,
      sync_agent_disk_free_bytes: 31 * 1024 ** 3,
      'sync_agent_state{state="waiting"}': 1,
      'sync_agent_state{state="idle"}': 0,
    });
    expect((await samplesOf())['process_resident_memory_bytes']).toBeGreaterThan(10 * 1024 ** 2);
  });

  it('show since when something is unsaved: with a log, what is neither in a snapshot nor behind one', async () => {
    const since = 'sync_agent_unsaved_since_timestamp_seconds';
    expect((await samplesOf(sampleStatuses.unsaved))[since]).toBe(noon / 1000 - 720);
    expect(await samplesOf(sampleStatuses.logged)).not.toHaveProperty(since);
    expect(await samplesOf(sampleStatuses.logged)).toMatchObject({
      sync_agent_dirty: 1,
      sync_agent_log_lag_seconds: 2.1,
      sync_agent_log_broken: 0,
    });
    expect(await samplesOf(sampleStatuses.logBroken)).toMatchObject({
      [since]: noon / 1000 - 40,
      sync_agent_log_broken: 1,
    });
    expect(await samplesOf(savedStatus)).not.toHaveProperty('sync_agent_log_broken');
  });

  it('count what is saved behind a snapshot, and its requests with all others', async () => {
    tell(sampleEvents['log-following']);
    tell(sampleEvents['log-shipped']);
    tell(sampleEvents['log-shipped']);
    tell(sampleEvents['log-trouble']);
    tell(sampleEvents['log-broken']);
    tell({ ...sampleEvents['log-broken'], isGap: false });
    expect(await samplesOf()).toMatchObject({
      sync_agent_log_operations_total: 500,
      sync_agent_log_segments_total: 2,
      sync_agent_log_bytes_total: 800_000,
      sync_agent_log_gaps_total: 1,
      'sync_agent_remote_requests_total{kind="put"}': 16,
      sync_agent_remote_sent_bytes_total: 6_000_000,
    });
  });

  it('show failing, overdue and diverged', async () => {
    expect(await samplesOf(sampleStatuses.failing)).toMatchObject({
      sync_agent_failing: 1,
      sync_agent_overdue: 1,
    });
    expect(await samplesOf(sampleStatuses.diverged)).toMatchObject({ sync_agent_tips: 2 });
  });

  it('show what the last check found, and nothing before it', async () => {
    expect(await samplesOf(sampleStatuses.damaged)).toMatchObject({
      sync_agent_store_sound: 0,
      sync_agent_store_findings: 2,
      sync_agent_store_check_seconds: 1.5,
    });
    expect(await samplesOf(sampleStatuses.serverFails)).toMatchObject({
      sync_agent_store_sound: 1,
      sync_agent_server_sound: 0,
      sync_agent_server_heartbeat_seconds: 0.004,
      sync_agent_server_slowest_seconds: 1.2,
    });
    expect(await samplesOf(savedStatus)).not.toHaveProperty('sync_agent_store_sound');
  });

  it('have no sample for an unknown value, even if it was known before', async () => {
    await scrape(sampleStatuses.unsaved);
    const samples = await samplesOf({ ...sampleStatuses.fresh, history: null }, null);
    const unknown = [
      'sync_agent_last_success_timestamp_seconds',
      'sync_agent_last_snapshot_timestamp_seconds',
      'sync_agent_next_backup_timestamp_seconds',
      'sync_agent_dirty_since_timestamp_seconds',
      'sync_agent_snapshots',
      'sync_agent_snapshots_bytes',
      'sync_agent_store_bytes',
      'sync_agent_disk_free_bytes',
    ];
    expect(Object.keys(samples).filter((name) => unknown.includes(name))).toEqual([]);
    expect(samples).toMatchObject({ sync_agent_dirty: 0, sync_agent_running: 0 });
  });

  it('count operations, their costs, and how long they held writers back', async () => {
    tell(sampleEvents['operation-finished']);
    tell(sampleEvents['operation-finished']);
    tell(sampleEvents.captured);
    expect(await samplesOf()).toMatchObject({
      'sync_agent_operations_total{operation="backup",outcome="committed"}': 2,
      'sync_agent_operation_duration_seconds_sum{operation="backup"}': 6.4,
      'sync_agent_operation_duration_seconds_count{operation="backup"}': 2,
      'sync_agent_operation_duration_seconds_bucket{le="2.5",operation="backup"}': 0,
      'sync_agent_operation_duration_seconds_bucket{le="5",operation="backup"}': 2,
      'sync_agent_remote_requests_total{kind="copy"}': 12,
      'sync_agent_remote_requests_total{kind="remove"}': 0,
      sync_agent_remote_sent_bytes_total: 3_000_000,
      sync_agent_remote_received_bytes_total: 1800,
      sync_agent_remote_retries_total: 4,
      sync_agent_writer_stall_seconds_sum: 0.018,
      'sync_agent_writer_longest_stall_seconds_bucket{le="0.01"}': 0,
      'sync_agent_writer_longest_stall_seconds_bucket{le="0.025"}': 1,
    });
  });

  it('count failures by code, from 0 on, so that the first one is an increase', async () => {
    const before = await samplesOf();
    for (const code of Object.keys(exitCodes))
      expect(before[`sync_agent_failures_total{code="${code}"}`]).toBe(0);
    tell(sampleEvents['operation-failed']);
    expect(await samplesOf()).toMatchObject({
      'sync_agent_failures_total{code="REMOTE_UNREACHABLE"}': 1,
      'sync_agent_failures_total{code="DENIED"}': 0,
      'sync_agent_operations_total{operation="backup",outcome="failed"}': 1,
      sync_agent_remote_retries_total: sampleCosts.retries,
    });
  });

  it('of two agents in one process are separate', async () => {
    tell(sampleEvents['operation-finished']);
    metrics = createMetrics();
    expect(await samplesOf()).toMatchObject({ sync_agent_remote_sent_bytes_total: 0 });
  });

  it('stay on one line each, whatever a label contains', async () => {
    const text = await metrics.render({ ...savedStatus, version: 'a"b\\c\nd' }, null);
    expect(() => parse(text)).not.toThrow();
  });
});

it('docs/observability.md lists every metric with its type, and no other', async () => {
  const text = readFileSync(
    fileURLToPath(new URL('../../../docs/observability.md', import.meta.url)),
    'utf8',
  );
  const listed = [...text.matchAll(/^\| `((?:sync_agent|process)_[a-z_]+)(?:\{[^}]*\})?` \| (\w+) \|/gm)];
  const families = await scrape();
  expect(Object.fromEntries(listed.map(([, name, type]) => [name, type]))).toEqual(
    Object.fromEntries([...families].map(([name, { type }]) => [name, type])),
  );
  for (const [name] of text.matchAll(/\bsync_agent_[a-z_]+/g)) {
    expect([...families.keys()]).toContain(name.replace(/_(bucket|sum|count)$/, ''));
  }
});

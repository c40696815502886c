import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { exitCodes } from '../../platform/errors.ts';
import type { OperationCosts, RequestCounts } from '../../platform/events.ts';
import type { RecordedEvent } from '../../api/daemon-status.ts';

const requestKinds = [
  'put',
  'get',
  'head',
  'list',
  'copy',
  'remove',
] as const satisfies readonly (keyof RequestCounts)[];

/** Makes counters and histograms in `registry`. Returns the function that feeds them. Known series begin at 0. */
export function createCounters(registry: Registry): (event: RecordedEvent) => void {
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, ...labelNames: readonly Label[]) =>
    new Counter<Label>({ name, help, labelNames, registers });
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    ...labelNames: readonly Label[]
  ) => new Histogram<Label>({ name, help, buckets: [...buckets], labelNames, registers });

  const operations = counter(
    'sync_agent_operations_total',
    'Operations that ended, by outcome',
    'operation',
    'outcome',
  );
  const durations = histogram(
    'sync_agent_operation_duration_seconds',
    'How long operations took, including failed ones',
    [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600],
    'operation',
  );
  const failures = counter('sync_agent_failures_total', 'Operations that failed, by error code', 'code');
  const requests = counter(
    'sync_agent_remote_requests_total',
    'Requests to the remote, without retries',
    'kind',
  );
  const sent = counter('sync_agent_remote_sent_bytes_total', 'Bytes of objects sent to the remote');
  const received = counter(
    'sync_agent_remote_received_bytes_total',
    'Bytes of objects received from the remote',
  );
  const retries = counter('sync_agent_remote_retries_total', 'Retries of requests to the remote');
  const stalls = histogram(
    'sync_agent_writer_stall_seconds',
    'How long a capture held back the writers of the store, in total',
    stallBuckets,
  );
  const longestStalls = histogram(
    'sync_agent_writer_longest_stall_seconds',
    'The longest time without a break for which a capture held back the writers of the store',
    stallBuckets,
  );
  const operationsInLog = counter('sync_agent_log_operations_total', 'Writes saved behind a snapshot');
  const segments = counter('sync_agent_log_segments_total', 'Segments of writes saved behind a snapshot');
  const logBytes = counter('sync_agent_log_bytes_total', 'Bytes of these segments, compressed');
  const gaps = counter('sync_agent_log_gaps_total', 'Times that writes were gone before they were read');
  for (const code of Object.keys(exitCodes)) failures.inc({ code }, 0);
  for (const kind of requestKinds) requests.inc({ kind }, 0);

  const count = (made: RequestCounts): void => {
    for (const kind of requestKinds) requests.inc({ kind }, made[kind]);
    sent.inc(made.bytesSent);
    received.inc(made.bytesReceived);
  };
  const spend = (operation: string, costs: OperationCosts): void => {
    durations.observe({ operation }, costs.durationMs / 1000);
    count(costs.requests);
    retries.inc(costs.retries);
  };
  return ({ event }) => {
    if (event.type === 'operation-finished') {
      operations.inc({ operation: event.operation, outcome: event.outcome });
      spend(event.operation, event);
    } else if (event.type === 'operation-failed') {
      operations.inc({ operation: event.operation, outcome: 'failed' });
      failures.inc({ code: event.error.code });
      spend(event.operation, event);
    } else if (event.type === 'captured') {
      stalls.observe(event.heldMs / 1000);
      longestStalls.observe(event.longestHoldMs / 1000);
    } else if (event.type === 'log-shipped') {
      operationsInLog.inc(event.operations);
      segments.inc();
      logBytes.inc(event.bytes);
      count(event.requests);
    } else if (event.type === 'log-following' || event.type === 'log-trouble') {
      count(event.requests);
    } else if (event.type === 'log-broken' && event.isGap) {
      gaps.inc();
    }
  };
}

const stallBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

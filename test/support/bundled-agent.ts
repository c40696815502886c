import type { DaemonEvent } from '../../src/platform/events.ts';
import { sampleEvents } from './sample-events.ts';
import { fakeAgentView } from './sample-status.ts';

/** As the command line does it: both are loaded when an agent starts to run, not before. */
const { startHttpServer } = await import('../../src/web/server.ts');
const { createDaemonLog } = await import('../../src/report/daemon-log.ts');
const subject = fakeAgentView();
const address = { host: '127.0.0.1', port: 0, isPortFixed: true, token: undefined };
const { url } = await startHttpServer(subject, address);
const log = createDaemonLog({ format: 'json', level: 'info', stream: process.stdout });
subject.tell(sampleEvents['operation-finished']);
log.emit({ type: 'listening', url } satisfies DaemonEvent);

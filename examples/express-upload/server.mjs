// Keeps uploaded files in a directory that survives the loss of its machine.
//
//   PUT /files/:name   stores the body
//   GET /files/:name   gives it back
//   GET /health        200, and what the agent knows: what is saved, what is not yet, when the next backup is due
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import express from 'express';
import { createSyncAgent } from 'sync-agent';

const { env } = process;
const remote = env.SYNC_AGENT_REMOTE ?? pathToFileURL('./remote').href;
const uploads = resolve(env.SYNC_AGENT_STORE ?? './uploads');
const incoming = `${uploads}.incoming`;

const agent = createSyncAgent({ store: uploads, remote });
agent.on((event) => {
  if (event.type === 'operation-finished' && event.snapshot !== null)
    console.log(`${event.operation}: ${event.outcome} ${event.snapshot.id}`);
  // A failed backup must be seen, and must not stop the application.
  if (event.type === 'operation-failed') console.error(`${event.operation} failed: ${event.error.message}`);
  if (event.type === 'warning') console.error(event.message);
});

// Before anything else: an application must not start empty while there are snapshots. A failed restore ends this program
// here. So does one that found that two machines wrote independently.
const restored = await agent.restore();
console.log(`restore: ${restored.type}`);
if (restored.type === 'diverged') throw new Error(`Cannot start: ${restored.why}`);
await mkdir(uploads, { recursive: true });
await mkdir(incoming, { recursive: true });
await agent.start();

const app = express();
app.put('/files/:name', async (request, response) => {
  const name = nameOf(request);
  // Only whole files are in the store, whenever a snapshot is taken.
  const part = join(incoming, randomUUID());
  try {
    await pipeline(request, createWriteStream(part));
    await rename(part, join(uploads, name));
  } finally {
    await rm(part, { force: true });
  }
  agent.notify();
  response.status(201).json({ stored: name });
});
app.get('/files/:name', (request, response) => response.sendFile(nameOf(request), { root: uploads }));
app.get('/health', (_request, response) => {
  const { state, dirtySinceMs, nextBackupAtMs, lastSnapshot } = agent.state() ?? {};
  response.json({ state, dirtySinceMs, nextBackupAtMs, lastSnapshot });
});

const server = app.listen(Number(env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => void stop());

/** First nobody writes any more, then the last backup is made. Many hosts kill after 30 seconds. */
async function stop() {
  const hurry = setTimeout(() => server.closeAllConnections(), 5000);
  await new Promise((closed) => server.close(closed));
  clearTimeout(hurry);
  const { isSaved } = await agent.stop({ budgetMs: 20_000 });
  process.exitCode = isSaved ? 0 : 1;
}

function nameOf(request) {
  const { name } = request.params;
  if (/^\w[\w.-]{0,99}$/.test(name)) return name;
  throw Object.assign(new Error('a name has letters, digits, ".", "-" and "_"'), { status: 400 });
}

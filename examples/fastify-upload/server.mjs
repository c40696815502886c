// Keeps uploads in a SQLite database that survives the loss of its machine.
//
//   PUT /files/:name   stores the body
//   GET /files/:name   gives it back
//   GET /health        200, and what the agent knows: what is saved, what is not yet, when the next backup is due
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import Fastify from 'fastify';
import { createSyncAgent } from 'sync-agent';

const { env } = process;
const remote = env.SYNC_AGENT_REMOTE ?? pathToFileURL('./remote').href;
const store = resolve(env.SYNC_AGENT_STORE ?? './data');

const agent = createSyncAgent({ store, remote });
agent.on((event) => {
  if (event.type === 'operation-finished' && event.snapshot !== null)
    console.log(`${event.operation}: ${event.outcome} ${event.snapshot.id}`);
  // A failed backup must be seen, and must not stop the application.
  if (event.type === 'operation-failed') console.error(`${event.operation} failed: ${event.error.message}`);
  if (event.type === 'warning') console.error(event.message);
});

// Before the database is opened: an application must not start empty while there are snapshots, and a restore replaces
// the file. A failed restore ends this program here. So does one that found that two machines wrote independently.
const restored = await agent.restore();
console.log(`restore: ${restored.type}`);
if (restored.type === 'diverged') throw new Error(`Cannot start: ${restored.why}`);
mkdirSync(store, { recursive: true });
const database = new Database(join(store, 'uploads.sqlite'));
// A backup holds writers back for moments: they wait, rather than fail.
database.pragma('busy_timeout = 10000');
database.pragma('journal_mode = WAL');
database.exec('CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, content BLOB NOT NULL)');
const put = database.prepare('INSERT OR REPLACE INTO files (name, content) VALUES (?, ?)');
const get = database.prepare('SELECT content FROM files WHERE name = ?').pluck();
await agent.start();

const app = Fastify({ bodyLimit: 64 * 1024 * 1024 });
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
app.put('/files/:name', async (request, reply) => {
  put.run(request.params.name, request.body ?? Buffer.alloc(0));
  agent.notify();
  return reply.code(201).send({ stored: request.params.name });
});
app.get('/files/:name', async (request, reply) => {
  const content = get.get(request.params.name);
  if (content === undefined) return reply.callNotFound();
  return reply.type('application/octet-stream').send(content);
});
app.get('/health', async () => {
  const { state, dirtySinceMs, nextBackupAtMs, lastSnapshot } = agent.state() ?? {};
  return { state, dirtySinceMs, nextBackupAtMs, lastSnapshot };
});

const url = await app.listen({ port: Number(env.PORT ?? 3000), host: '127.0.0.1' });
console.log(`listening on ${url}`);
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => void stop());

/** First nobody writes any more, then the last backup is made. Many hosts kill after 30 seconds. */
async function stop() {
  await app.close();
  database.close();
  const { isSaved } = await agent.stop({ budgetMs: 20_000 });
  process.exitCode = isSaved ? 0 : 1;
}

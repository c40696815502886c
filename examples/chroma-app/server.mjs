// A small application on a local Chroma database that survives the loss of its machine.
//
//   POST /documents   { "collection": "notes", "documents": [{ "id", "text", "embedding": [numbers] }] }
//   POST /query       { "collection": "notes", "embedding": [numbers], "limit": 3 }
//   POST /backup      makes a snapshot now and answers with what `sync-agent backup --json` prints
//   GET  /health      200 once everything is up
//
// `npm start` restores first (see "prestart" in package.json), so that Chroma is never started on an empty directory
// while there are snapshots.
import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ChromaClient } from 'chromadb';

const { env } = process;
const port = Number(env.PORT ?? 3000);
const chromaPort = Number(env.CHROMA_PORT ?? 8000);
/** Shell command that starts the Chroma server; `$CHROMA_PORT` and `$CHROMA_PATH` are in its environment. */
const chromaCommand =
  env.CHROMA_COMMAND ?? 'exec chroma run --host 127.0.0.1 --port "$CHROMA_PORT" --path "$CHROMA_PATH"';
const chromaPath = env.SYNC_AGENT_STORE ?? './chroma';
/** How often to look whether a backup is due; how old the newest snapshot must be for one. */
const checkMs = Number(env.BACKUP_CHECK_MS ?? 5 * 60_000);
const interval = env.BACKUP_INTERVAL ?? '1h';

const run = promisify(execFile);
let isStopping = false;

const chroma = spawn('sh', ['-c', chromaCommand], {
  stdio: 'inherit',
  env: { ...env, CHROMA_PORT: String(chromaPort), CHROMA_PATH: chromaPath },
});
chroma.once('exit', (code, signal) => {
  if (!isStopping) {
    console.error(`Chroma ended by itself: ${signal ?? code}`);
    process.exit(1);
  }
});

const client = new ChromaClient({ host: '127.0.0.1', port: chromaPort });
const http = createServer((request, response) => {
  answer(request).then(
    (result) => send(response, 200, result),
    (error) => send(response, error.status ?? 500, { error: error.message }),
  );
});

await untilUp();
http.listen(port, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${port}`));
const timer = setInterval(() => void backup(['--min-interval', interval]).catch(report), checkMs);
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void stop());

async function answer(request) {
  const route = `${request.method} ${request.url}`;
  if (route === 'GET /health') return { ok: true };
  if (route === 'POST /backup') return backup([]);
  const body = await readJson(request);
  if (route === 'POST /documents') {
    const { collection = '', documents = [] } = body;
    const target = await client.getOrCreateCollection({ name: collection, embeddingFunction: null });
    await target.upsert({
      ids: documents.map(({ id }) => id),
      documents: documents.map(({ text }) => text),
      embeddings: documents.map(({ embedding }) => embedding),
    });
    return { stored: documents.length };
  }
  if (route === 'POST /query') {
    const { collection = '', embedding = [], limit = 3 } = body;
    const target = await client.getCollection({ name: collection });
    const found = await target.query({ queryEmbeddings: [embedding], nResults: limit });
    return {
      total: await target.count(),
      results: (found.ids[0] ?? []).map((id, index) => ({ id, text: found.documents[0]?.[index] })),
    };
  }
  throw Object.assign(new Error(`there is no ${route}`), { status: 404 });
}

/** Chroma keeps running: the capture does not need it to stop. */
async function backup(flags) {
  const { stdout } = await run('npx', ['--no-install', 'sync-agent', 'backup', '--json', ...flags]);
  return JSON.parse(stdout);
}

async function untilUp() {
  for (let tries = 1; ; tries += 1) {
    try {
      await client.heartbeat();
      return;
    } catch (error) {
      if (tries === 600) throw error;
      await sleep(100);
    }
  }
}

/** One last backup while Chroma still runs, then SIGINT, which Chroma obeys. */
async function stop() {
  if (isStopping) return;
  isStopping = true;
  clearInterval(timer);
  http.close();
  await backup([]).catch(report);
  chroma.once('exit', () => process.exit(0));
  chroma.kill('SIGINT');
  setTimeout(() => chroma.kill('SIGKILL'), 5000).unref();
}

/** A failed backup must be seen, and must not stop the application. */
function report(error) {
  console.error(`backup failed: ${error.stderr || error.message}`);
}

async function readJson(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw Object.assign(new Error('the body is not JSON'), { status: 400 });
  }
}

function send(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

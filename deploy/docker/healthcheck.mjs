// Whether the agent in this container lives: exit 0, or 1. Asks /healthz where SYNC_AGENT_HTTP says that it listens; with
// `off` there is nothing to ask, and that the container runs is all that is known.
const address = (process.env.SYNC_AGENT_HTTP ?? '').trim() || '127.0.0.1:8477';
if (address.toLowerCase() !== 'off') {
  const colon = address.lastIndexOf(':');
  const given = address.slice(0, Math.max(colon, 0));
  const host = ['', '0.0.0.0', '[::]'].includes(given) ? '127.0.0.1' : given;
  try {
    const url = `http://${host}:${address.slice(colon + 1)}/healthz`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(4000) });
    process.exitCode = answer.ok ? 0 : 1;
  } catch {
    process.exitCode = 1;
  }
}

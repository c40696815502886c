// Exits with 0 if the agent in this container is alive, else with 1. Asks /healthz at the address in SYNC_AGENT_HTTP. With
// `off` there is nothing to ask, and it exits with 0.
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

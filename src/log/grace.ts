/**
 * For how long work may rely on what it saw at its beginning, milliseconds by the server's clock: half the grace period,
 * the other half being others' lead. Without a grace period one host alone uses the remote, and nobody else sweeps.
 */
export function reliableMs(graceMs: number): number {
  return graceMs === 0 ? Infinity : graceMs / 2;
}

export type StatusReport = unknown;
export async function status(_: unknown): Promise<unknown> {
  return undefined;
}

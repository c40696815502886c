export type DoctorReport = unknown;
export async function doctor(_: unknown): Promise<unknown> {
  return undefined;
}

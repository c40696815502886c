import type { RequestCounts } from '../events.ts';

export const addCounts = (a: RequestCounts, b: RequestCounts): RequestCounts =>
  combine(a, b, (one, other) => one + other);

export const subtractCounts = (a: RequestCounts, b: RequestCounts): RequestCounts =>
  combine(a, b, (one, other) => one - other);

function combine(
  a: RequestCounts,
  b: RequestCounts,
  by: (one: number, other: number) => number,
): RequestCounts {
  return {
    put: by(a.put, b.put),
    get: by(a.get, b.get),
    head: by(a.head, b.head),
    list: by(a.list, b.list),
    copy: by(a.copy, b.copy),
    remove: by(a.remove, b.remove),
    bytesSent: by(a.bytesSent, b.bytesSent),
    bytesReceived: by(a.bytesReceived, b.bytesReceived),
  };
}

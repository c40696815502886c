/** A name of a host, or whatever else is written for people, is not longer in what a remote keeps; in UTF-16 units. */
export const longestLabel = 1024;

/** A name as it is kept: what is longer ends in an ellipsis. */
export function labelOf(name: string): string {
  return name.length <= longestLabel ? name : `${name.slice(0, longestLabel - 1)}…`;
}

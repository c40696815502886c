interface SplitArguments {
  readonly signal: AbortSignal | undefined;
  /** The last one is the call's options, always. */
  readonly plain: readonly unknown[];
}

/** A call's arguments without the signal that its options may carry: no signal can be sent to a process. */
export function splitSignal(args: readonly unknown[]): SplitArguments {
  // Options that are undefined are none; left in, they would take the place of those that carry the signal.
  const given = args.slice(0, args.findLastIndex((each) => each !== undefined) + 1);
  const last = given.at(-1);
  if (typeof last !== 'object' || last === null) return { signal: undefined, plain: [...given, {}] };
  const { signal, ...rest } = last as { readonly signal?: AbortSignal };
  return { signal, plain: [...given.slice(0, -1), rest] };
}

import type { ProtectionOptions } from '../../engine/protecting/plan-protection.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { Protect } from './create-protector.ts';

type Protector = { readonly protect: Protect };

export interface ProtectedOperationOptions<This = unknown> extends ProtectionOptions {
  /** The agent that guards, or where to find it from `this` when the function is called. */
  readonly agent: Protector | ((self: This) => Protector);
}

/** What makes a function, or the method that it decorates, a protected one. */
export type ProtectedFunction<Self> = <This extends Self, Args extends readonly unknown[], Result>(
  fn: (this: This, ...args: Args) => Result | Promise<Result>,
  context?: ClassMethodDecoratorContext<This>,
) => (this: This, ...args: Args) => Promise<Result>;

/**
 * Makes every call of a function a protected operation: `protectedOperation(name, options)(fn)`, or `@protectedOperation(name, options)`
 * at a method, as a decorator of the ECMAScript standard. The result is a promise in any case. With `risk: 'read'` it costs nothing more.
 */
export function protectedOperation<Self = unknown>(
  name: string,
  { agent, ...options }: ProtectedOperationOptions<Self>,
): ProtectedFunction<Self> {
  return <This extends Self, Args extends readonly unknown[], Result>(
    fn: (this: This, ...args: Args) => Result | Promise<Result>,
    context?: ClassMethodDecoratorContext<This>,
  ) => {
    assertMethod(name, fn, context);
    return async function guarded(this: This, ...args: Args): Promise<Result> {
      const { protect } = typeof agent === 'function' ? agent(this) : agent;
      return protect(name, () => Reflect.apply(fn, this, args), options);
    };
  };
}

/** Compilers with another kind of decorators pass other things. */
function assertMethod(name: string, fn: unknown, context: unknown): void {
  const kind = (context as { readonly kind?: unknown } | undefined)?.kind;
  if (typeof fn === 'function' && (context === undefined || kind === 'method')) return;
  throw new SyncAgentError('USAGE', `Cannot protect "${name}": only a function or a method can be`, {
    remedy:
      'Decorators have to be those of the ECMAScript standard: without "experimentalDecorators" in TypeScript',
  });
}

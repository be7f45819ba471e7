/**
 * One operation: begun in the native module, given up by an `AbortSignal`, over when the native work is.
 *
 * Aborting is a request. The promise is rejected with `CancelledError` when the work has rolled back, or is fulfilled if
 * the work had won; either way nothing goes on behind it.
 */

import { CancelledError } from './error-codes.js';
import { fromNative, invalid } from './errors.js';
import { GIVEN_UP, native } from './native.js';

/** What every call that waits can be given. */
export interface OperationOptions {
  /** Asks the operation to end. One that is aborted already lets nothing begin. */
  signal?: AbortSignal | undefined;
}

let lastNumber = 0;

/** Returns the caller's signal, if there is one; refuses what is none. */
export function checked(signal: AbortSignal | null | undefined): AbortSignal | undefined {
  if (signal !== undefined && signal !== null && !(signal instanceof AbortSignal)) {
    throw invalid('signal: not an AbortSignal');
  }
  return signal ?? undefined;
}

/** Returns a signal that is aborted with `own`, and with the caller's if there is one. */
export function either(own: AbortSignal, signal: AbortSignal | undefined): AbortSignal {
  const callers = checked(signal);
  return callers === undefined ? own : AbortSignal.any([own, callers]);
}

/** Waits for what goes on whoever gives it up, because others wait for it too. Aborted, only this waiting ends. */
export async function waitFor<T>(shared: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const callers = checked(signal);
  if (callers === undefined) {
    return shared;
  }
  let abort = () => {};
  const given = new Promise<never>((_, reject) => {
    abort = () => reject(new CancelledError('the operation was cancelled', { cause: callers.reason }));
    callers.addEventListener('abort', abort, { once: true });
  });
  if (callers.aborted) {
    abort();
  }
  try {
    return await Promise.race([given, shared]);
  } finally {
    callers.removeEventListener('abort', abort);
  }
}

/** Runs what `begin` begins under the number it is given. */
export async function run<T>(
  callers: AbortSignal | undefined,
  begin: (operation: number) => Promise<T>,
): Promise<T> {
  const signal = checked(callers);
  if (signal === undefined) {
    try {
      return await begin(0);
    } catch (error) {
      throw fromNative(error);
    }
  }
  lastNumber = (lastNumber % (GIVEN_UP - 1)) + 1;
  const operation = signal.aborted ? GIVEN_UP : lastNumber;
  const abort = () => native.cancel(operation);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await begin(operation);
  } catch (error) {
    throw fromNative(error, signal);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

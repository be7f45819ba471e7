/**
 * One operation: begun in the native module, given up by an `AbortSignal`, over when the native work is.
 *
 * Aborting is a request. The promise is rejected with `CancelledError` when the work has rolled back, or is fulfilled if
 * the work had won; either way nothing goes on behind it.
 */

import { fromNative, invalid } from './errors.js';
import { GIVEN_UP, native } from './native.js';

/** What every call that waits can be given. */
export interface OperationOptions {
  /** Asks the operation to end. One that is aborted already lets nothing begin. */
  signal?: AbortSignal | undefined;
}

let lastNumber = 0;

/** Runs what `begin` begins under the number it is given. */
export async function run<T>(
  signal: AbortSignal | undefined,
  begin: (operation: number) => Promise<T>,
): Promise<T> {
  if (signal === undefined || signal === null) {
    try {
      return await begin(0);
    } catch (error) {
      throw fromNative(error);
    }
  }
  if (!(signal instanceof AbortSignal)) {
    throw invalid('signal: not an AbortSignal');
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

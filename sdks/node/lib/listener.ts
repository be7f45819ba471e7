/** A function that is told what happens while an operation goes on. One that throws ends the operation. */

import { either } from './operation.js';
import { record } from './records.js';

export class Listener<Event> {
  /** Aborted by the caller's signal, and by a listener that throws. */
  readonly signal: AbortSignal | undefined;
  readonly #broken = new AbortController();

  constructor(
    private readonly listen: ((event: Event) => void) | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.signal = listen === undefined ? signal : either(this.#broken.signal, signal);
  }

  /** What the native module calls. */
  readonly tell = (event: string): void => {
    if (!this.#broken.signal.aborted) {
      try {
        this.listen?.(record<Event>(event));
      } catch (error) {
        this.#broken.abort(error);
      }
    }
  };

  /** Waits for the operation; throws what the listener threw, if it did. */
  async guard<T>(operation: Promise<T>): Promise<T> {
    try {
      return await operation;
    } finally {
      // Also when the operation was over already: the last events are told then.
      this.#broken.signal.throwIfAborted();
    }
  }
}

/** Handles that can be closed: what a closed one answers. */

import { InvalidStateError } from './error-codes.js';
import { fromNative } from './errors.js';

/** A native handle that may be closed, and can say whether its runtime is open. */
export class Handle<Native> {
  #native: Native | undefined;

  constructor(
    native: Native,
    private readonly name: string,
    private readonly checkOpen: () => string | null,
  ) {
    this.#native = native;
  }

  /** Returns the native handle. A closed one answers `Stopped` if the runtime is shut down, else `InvalidState`. */
  get(): Native {
    if (this.#native === undefined) {
      const refusal = this.checkOpen();
      throw refusal === null ? new InvalidStateError(`${this.name} is closed`) : fromNative(refusal);
    }
    return this.#native;
  }

  /** Closes it. Returns the native handle the first time. */
  close(): Native | undefined {
    const native = this.#native;
    this.#native = undefined;
    return native;
  }
}

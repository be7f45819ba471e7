/**
 * What comes piece by piece: events of a runtime, entries of a log.
 *
 * An iterator of its own, so that leaving a `for await` ends the waiting of whoever else is at it, and lets go.
 */

import { CancelledError } from './error-codes.js';
import { run } from './operation.js';
import * as records from './records.js';
import type { LogEntry, RuntimeEvent } from './records.js';
import type { NativeEvents, NativeLogs } from './native.js';

class Sequence<Raw, Item> implements AsyncIterableIterator<Item, undefined> {
  #native: { next(operation: number): Promise<Raw | null> } | undefined;
  readonly #left = new AbortController();
  readonly #signal: AbortSignal;

  constructor(
    native: { next(operation: number): Promise<Raw | null> },
    private readonly read: (raw: Raw) => Item,
    signal: AbortSignal | undefined,
  ) {
    this.#native = native;
    this.#signal = signal ? AbortSignal.any([this.#left.signal, signal]) : this.#left.signal;
  }

  /** Waits for the next one. Aborted by the signal it was made with, none is lost. */
  async next(): Promise<IteratorResult<Item, undefined>> {
    const native = this.#native;
    if (native === undefined) {
      return { done: true, value: undefined };
    }
    try {
      const raw = await run(this.#signal, (operation) => native.next(operation));
      if (raw !== null) {
        return { done: false, value: this.read(raw) };
      }
    } catch (error) {
      if (!(this.#left.signal.aborted && error instanceof CancelledError)) {
        throw error;
      }
    }
    this.#native = undefined;
    return { done: true, value: undefined };
  }

  /** Leaves: nothing is waited for any more. */
  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#native = undefined;
    this.#left.abort();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** What happens in a runtime. A listener that falls behind by more than 1,024 loses the oldest ones. */
export class Events extends Sequence<string, RuntimeEvent> {
  /** @internal */
  constructor(native: NativeEvents, signal: AbortSignal | undefined) {
    super(native, (text) => records.record<RuntimeEvent>(text), signal);
  }
}

/** What the main command of a box printed, oldest first. */
export class Logs extends Sequence<LogEntry, LogEntry> {
  /** @internal */
  constructor(native: NativeLogs, signal: AbortSignal | undefined) {
    super(native, (entry) => entry, signal);
  }
}

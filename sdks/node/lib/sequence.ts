/**
 * What comes piece by piece: events of a runtime, entries of a log.
 *
 * An iterator of its own, so that leaving a `for await` ends the waiting of whoever else is at it, and lets go.
 */

import { run } from './operation.js';
import * as records from './records.js';
import type { LogEntry, RuntimeEvent } from './records.js';
import type { NativeEvents, NativeLogs } from './native.js';

/** What the native module has of it. Closed, it ends for whoever waits. */
interface Native<Raw> {
  next(operation: number): Promise<Raw | null>;
  close(): void;
}

class Sequence<Raw, Item> implements AsyncIterableIterator<Item, undefined> {
  #native: Native<Raw> | undefined;
  readonly #signal: AbortSignal | undefined;

  constructor(
    native: Native<Raw>,
    private readonly read: (raw: Raw) => Item,
    signal: AbortSignal | undefined,
  ) {
    this.#native = native;
    this.#signal = signal;
  }

  /** Waits for the next one. Aborted by the signal it was made with, it is over. */
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
      // The last one, too: a `for await` that it ends does not say that it leaves.
      native.close();
      throw error;
    }
    return this.return();
  }

  /** Leaves: nothing is waited for any more, and nothing held. */
  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#native?.close();
    this.#native = undefined;
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

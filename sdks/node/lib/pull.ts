/**
 * A pull on its way: a promise of the image that can also be iterated over while it goes on.
 *
 * Nothing is kept for an iteration that has not begun. One that runs ends with the pull, and is where its error is thrown;
 * leaving it early does not end the pull.
 */

import type { PulledImage, PullEvent } from './records.js';

/** A promise of the image, and the events on the way to it. */
export type Pull = Promise<PulledImage> & AsyncIterable<PullEvent>;

/** The events one iteration has not seen yet. */
class Events implements AsyncIterator<PullEvent, undefined> {
  readonly #events: PullEvent[] = [];
  #over = false;
  #wake: (() => void) | undefined;

  constructor(private readonly forget: (events: Events) => void) {}

  put(event: PullEvent): void {
    this.#events.push(event);
    this.#wake?.();
  }

  end(): void {
    this.#over = true;
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<PullEvent, undefined>> {
    while (this.#events.length === 0 && !this.#over) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const event = this.#events.shift();
    return event === undefined ? { done: true, value: undefined } : { done: false, value: event };
  }

  async return(): Promise<IteratorResult<PullEvent, undefined>> {
    this.forget(this);
    this.end();
    return { done: true, value: undefined };
  }
}

/** Makes it of what `begin` begins, which tells what happens through its argument. */
export function pull(begin: (tell: (event: PullEvent) => void) => Promise<PulledImage>): Pull {
  const iterations = new Set<Events>();
  let over = false;
  const wait = async () => {
    try {
      return await begin((event) => iterations.forEach((events) => events.put(event)));
    } finally {
      over = true;
      iterations.forEach((events) => events.end());
    }
  };
  const image = wait();
  const iterate = (): AsyncIterator<PullEvent, undefined> => {
    const events = new Events((left) => iterations.delete(left));
    if (over) {
      events.end();
    } else {
      iterations.add(events);
    }
    // The iteration tells of the error: it is not unhandled because nobody waits for the promise yet.
    image.catch(() => {});
    return {
      async next() {
        const step = await events.next();
        if (step.done) {
          await image;
        }
        return step;
      },
      return: () => events.return(),
    };
  };
  return Object.assign(image, { [Symbol.asyncIterator]: iterate });
}

/** A box with a shell on a terminal, joined to the terminal of this process if it has one. */

import { options as object, optionalText } from './arguments.js';
import { InvalidStateError } from './error-codes.js';
import type { Execution, ExecStdin } from './execution.js';
import { waitFor } from './operation.js';
import type { OperationOptions } from './operation.js';
import { SimpleBox } from './simple-box.js';
import type { SimpleBoxOptions } from './simple-box.js';

/** How an interactive box is made. */
export interface InteractiveBoxOptions extends SimpleBoxOptions {
  /** `/bin/sh` by default. */
  shell?: string;
  /** Whether this process's stdin and stdout are joined to the shell's; by default if stdin is a terminal. */
  tty?: boolean;
}

/** A box with a shell on a terminal. */
export class InteractiveBox extends SimpleBox {
  readonly #shell: string;
  readonly #joins: boolean;
  #execution: Execution | undefined;
  #forwarding: Promise<void> | undefined;
  #restore: () => void = () => {};

  constructor(options?: InteractiveBoxOptions) {
    const { shell, tty, ...box } = object(options, 'box options');
    super(box);
    this.#shell = optionalText(shell, 'shell') ?? '/bin/sh';
    this.#joins = tty ?? process.stdin.isTTY ?? false;
  }

  /** The shell, once it was started. */
  get execution(): Execution {
    if (this.#execution === undefined) {
      throw new InvalidStateError('the shell is not started', { hint: 'await `start()`' });
    }
    return this.#execution;
  }

  /** Starts the shell. */
  async start(options: OperationOptions = {}): Promise<void> {
    if (this.#execution !== undefined) {
      throw new InvalidStateError('the shell is started already');
    }
    const { rows = 24, columns = 80 } = process.stdout;
    const box = await this.ready(options);
    const execution = await box.exec({ argv: [this.#shell], tty: { rows, columns }, ...options });
    this.#execution = execution;
    const stdin = execution.stdin();
    if (this.#joins && stdin !== null) {
      this.#join(execution, stdin);
    }
  }

  /** Waits for the shell to end. */
  async wait(options: OperationOptions = {}): Promise<void> {
    await waitFor(Promise.resolve(this.#forwarding), options.signal);
    await this.execution.wait(options);
    this.#restore();
  }

  /** Stops the box, and gives the terminal back. */
  override async stop(): Promise<void> {
    this.#leave();
    await super.stop();
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.#leave();
    await super[Symbol.asyncDispose]();
  }

  #leave(): void {
    this.#restore();
    this.#execution?.close();
    this.#execution = undefined;
  }

  #join(execution: Execution, stdin: ExecStdin): void {
    // What cannot be delivered is for a shell that has ended, of which `wait` tells.
    const type = (bytes: Buffer) => void stdin.write(bytes).catch(() => {});
    const end = () => void stdin.close().catch(() => {});
    const resize = () => {
      const { rows = 24, columns = 80 } = process.stdout;
      execution.resizeTty(rows, columns).catch(() => {});
    };
    const raw = process.stdin.isTTY && !process.stdin.isRaw;
    if (raw) {
      process.stdin.setRawMode(true);
    }
    process.stdin.on('data', type).on('end', end).resume();
    process.stdout.on('resize', resize);
    this.#restore = () => {
      this.#restore = () => {};
      process.stdin.off('data', type).off('end', end).pause();
      process.stdout.off('resize', resize);
      if (raw) {
        process.stdin.setRawMode(false);
      }
    };
    this.#forwarding = this.#print(execution).finally(() => this.#restore());
    // `wait` tells of it; a shell that nobody waits for must not end the process.
    this.#forwarding.catch(() => {});
  }

  async #print(execution: Execution): Promise<void> {
    for await (const piece of execution.stdout() ?? []) {
      if (!process.stdout.write(piece)) {
        await new Promise((resolve) => process.stdout.once('drain', resolve));
      }
    }
  }
}

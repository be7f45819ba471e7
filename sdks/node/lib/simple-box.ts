/** A box that is there when it is first used: image pulled, box made and started. */

import { options as object } from './arguments.js';
import type { Box } from './box.js';
import { DEFAULT_IMAGE } from './box-options.js';
import type { BoxOptions, CopyOptions, ExecOptions } from './box-options.js';
import { CancelledError, InvalidStateError, TimeoutError } from './error-codes.js';
import { invalid } from './errors.js';
import { waitFor } from './operation.js';
import type { OperationOptions } from './operation.js';
import type { BoxInfo, BoxMetrics, ExecutionResult } from './records.js';
import { Boxlite } from './runtime.js';

/** How a simple box is made. */
export interface SimpleBoxOptions extends BoxOptions {
  /** The default one if there is none. */
  runtime?: Boxlite;
  /** Whether a box of that name is used if there is one; otherwise that is an error. */
  reuseExisting?: boolean;
}

/** What a command printed, and how it ended. */
export interface ExecResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** How a command of a simple box is run. */
export interface SimpleExecOptions extends OperationOptions {
  cwd?: string;
  user?: string;
  timeoutSecs?: number;
}

/**
 * A box that is made and started by the first call that needs it, and removed when it stops unless `autoRemove` is false.
 */
export class SimpleBox {
  readonly #runtime: Boxlite | undefined;
  readonly #options: BoxOptions & { image: string };
  readonly #reuse: boolean;
  #ready: Promise<Box> | undefined;
  #box: Box | undefined;
  #created: boolean | null = null;

  constructor(options?: SimpleBoxOptions) {
    const { runtime, reuseExisting, ...box } = object(options, 'box options');
    if (runtime !== undefined && !(runtime instanceof Boxlite)) {
      throw invalid('runtime: not a Boxlite');
    }
    this.#runtime = runtime;
    this.#reuse = reuseExisting ?? false;
    this.#options = { ...box, autoRemove: box.autoRemove ?? true, image: box.image ?? DEFAULT_IMAGE };
  }

  /** Returns the box, running. What fails is tried again by the next call. */
  protected async ready(options?: OperationOptions): Promise<Box> {
    for (;;) {
      const mine = this.#ready === undefined;
      const ready = (this.#ready ??= this.#begin(options));
      try {
        return await (mine ? ready : waitFor(ready, options?.signal));
      } catch (error) {
        // Somebody else gave up what this call was waiting for as well.
        if (mine || !(error instanceof CancelledError) || options?.signal?.aborted) {
          throw error;
        }
      }
    }
  }

  #begin(options?: OperationOptions): Promise<Box> {
    const ready = this.#prepare(options);
    ready.catch(() => {
      if (this.#ready === ready) {
        this.#ready = undefined;
      }
    });
    return ready;
  }

  async #prepare({ signal }: OperationOptions = {}): Promise<Box> {
    const runtime = this.#runtime ?? Boxlite.withDefaultConfig();
    if (this.#box === undefined) {
      const { platform, image } = this.#options;
      const found = this.#reuse && this.#options.name ? await runtime.get(this.#options.name, { signal }) : null;
      if (found === null) {
        await runtime.images.pull(image, { policy: 'missing', signal, ...(platform === undefined ? {} : { platform }) });
      }
      this.#box = found ?? (await runtime.create({ ...this.#options, signal }));
      this.#created = found === null;
    }
    const box = this.#box;
    try {
      if (!(await box.info({ signal })).state.running) {
        await box.start({ signal });
      }
    } catch (error) {
      await this.#discard(box);
      throw error;
    }
    return box;
  }

  /** Removes a box that was made to be removed when it stops, and never ran. */
  async #discard(box: Box): Promise<void> {
    if (this.#created && this.#options.autoRemove) {
      // Why it did not start is what the caller has to hear; one that is still there is started by the next call.
      await box.remove({ force: true }).then(() => (this.#box = undefined), () => {});
    }
  }

  /** The id, once the box was made. */
  get id(): string {
    if (this.#box === undefined) {
      throw new InvalidStateError('the box is not made yet', { hint: 'await `getId()`' });
    }
    return this.#box.id;
  }

  /** Returns the id; makes the box if it has to. */
  async getId(options?: OperationOptions): Promise<string> {
    return (await this.ready(options)).id;
  }

  /** The name it was given. */
  get name(): string | undefined {
    return this.#options.name;
  }

  /** Whether the box was made by this object; `null` as long as that is not known. */
  get created(): boolean | null {
    return this.#created;
  }

  /** Returns what is known of the box now. */
  async info(options?: OperationOptions): Promise<BoxInfo> {
    return (await this.ready(options)).info(options);
  }

  /** The same. */
  getInfo(options?: OperationOptions): Promise<BoxInfo> {
    return this.info(options);
  }

  /**
   * Runs a command to its end. One that fails is no error: see the exit code.
   *
   * With a list of arguments, environment and options may follow; otherwise everything is an argument.
   */
  exec(command: string, ...args: string[]): Promise<ExecResult>;
  exec(
    command: string,
    args: string[],
    env?: Record<string, string>,
    options?: SimpleExecOptions,
  ): Promise<ExecResult>;
  async exec(command: string, ...rest: unknown[]): Promise<ExecResult> {
    const listed = Array.isArray(rest[0]);
    const args = (listed ? rest[0] : rest) as string[];
    const [env, options] = (listed ? rest.slice(1) : []) as [Record<string, string>?, SimpleExecOptions?];
    const { signal, cwd, user, timeoutSecs } = options ?? {};
    const named = Object.entries({ env, user, timeoutSecs, workingDir: cwd }).filter(([, value]) => value !== undefined);
    return this.execute({ argv: [command, ...args], ...Object.fromEntries(named) }, { signal });
  }

  /** Runs a command to its end, with `input` as its stdin if there is some; `TimeoutError` if its timeout ended it. */
  protected async execute(command: ExecOptions, options: OperationOptions, input?: string): Promise<ExecResult> {
    const box = await this.ready(options);
    const execution = await box.exec({ stdin: input !== undefined, ...command, ...options });
    try {
      if (input !== undefined) {
        // Not waited for: it may print before it has read everything. How it ended tells whether it needed the rest.
        execution.stdin()?.write(input, options).catch(() => {});
      }
      const { stdout, stderr, ...status } = await execution.output(options);
      this.#checkTime(command, status);
      return { exitCode: status.exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
    } finally {
      execution.close();
    }
  }

  #checkTime(command: ExecOptions, status: ExecutionResult): void {
    if (status.timedOut) {
      throw new TimeoutError(`\`${command.argv[0]}\` did not end within ${command.timeoutSecs} seconds`, {
        operation: 'box.exec',
        context: { box: this.id },
      });
    }
  }

  /** Copies a file or directory of the host into the box, by the rules of `docker cp`. */
  async copyIn(host: string, inside: string, options?: CopyOptions & OperationOptions): Promise<void> {
    await (await this.ready(options)).copyIn(host, inside, options);
  }

  /** Copies a file or directory of the box to the host, by the same rules. */
  async copyOut(inside: string, host: string, options?: CopyOptions & OperationOptions): Promise<void> {
    await (await this.ready(options)).copyOut(inside, host, options);
  }

  /** Returns what the box uses at this moment. */
  async metrics(options?: OperationOptions): Promise<BoxMetrics> {
    return (await this.ready(options)).metrics(options);
  }

  /** Stops the box, which removes it unless `autoRemove` is false. Does nothing if it was never made. */
  async stop(): Promise<void> {
    // A box that is about to be there must not be left behind.
    await this.#ready?.catch(() => {});
    this.#ready = undefined;
    const box = this.#box;
    if (this.#options.autoRemove) {
      this.#box = undefined;
    }
    if (box !== undefined) {
      await box.stop();
    }
  }

  /** Stops it, whatever has become of its runtime. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ready?.catch(() => {});
    this.#ready = undefined;
    const box = this.#box;
    this.#box = undefined;
    await box?.[Symbol.asyncDispose]();
  }
}

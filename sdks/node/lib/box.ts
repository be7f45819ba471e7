/** The handle to one box. */

import { Readable } from 'node:stream';

import { encode, environment, flag, integer, milliseconds, options as object, text } from './arguments.js';
import { encodeCommand, encodeCopy } from './box-options.js';
import type { CopyOptions, Environment, ExecOptions } from './box-options.js';
import { NotFoundError, StoppedError } from './error-codes.js';
import { invalid } from './errors.js';
import { Execution, ExecOutput } from './execution.js';
import { Handle } from './handle.js';
import type { RemoveOptions } from './images.js';
import { native as module } from './native.js';
import type { NativeBox, NativeExecution } from './native.js';
import { either, run } from './operation.js';
import type { OperationOptions } from './operation.js';
import * as records from './records.js';
import type { BoxInfo, BoxMetrics, FileStat } from './records.js';
import { Logs } from './sequence.js';

/** How a box is stopped. */
export interface StopOptions extends OperationOptions {
  /** How long its processes have before they are killed; 10 by default. */
  timeoutSecs?: number;
}

/** Which part of a log is wanted. */
export interface LogOptions extends OperationOptions {
  /** Whether to wait for more until the box stops. */
  follow?: boolean;
  /** Starts with the last so many lines. */
  tail?: number;
}

const STOP_SECS = 10;

/**
 * The handle to one box.
 *
 * It is a name, not a connection: it stays good across stops and starts. Once the box is removed its calls answer
 * `NotFound`; once the runtime is shut down, closed or garbage, `Stopped`.
 */
export class Box {
  /** The id. */
  readonly id: string;
  /** The name, if it was given one. */
  readonly name: string | null;
  readonly #handle: Handle<NativeBox>;
  readonly #checkOpen: () => string | null;

  /** @internal */
  constructor(native: NativeBox, name: string | null) {
    this.id = native.id();
    this.name = name;
    this.#checkOpen = () => native.checkOpen();
    this.#handle = new Handle(native, 'the box handle', this.#checkOpen);
  }

  #run<T>(options: OperationOptions | undefined, begin: (native: NativeBox, operation: number) => Promise<T>) {
    return run(options?.signal, (operation) => begin(this.#handle.get(), operation));
  }

  /** Returns what is known of the box now. */
  async info(options?: OperationOptions): Promise<BoxInfo> {
    return records.box(await this.#run(options, (native, operation) => native.info(operation)));
  }

  /** Starts it, and its main command if it has one, whose output goes to the log. Returns when commands can run in it. */
  start(options?: OperationOptions): Promise<void> {
    return this.#run(options, (native, operation) => native.start(operation));
  }

  /** Starts it, attached to its main command from the first byte of output on. */
  async startAttached(options?: OperationOptions): Promise<Execution> {
    return this.#execution(await this.#run(options, (native, operation) => native.startAttached(operation)), true);
  }

  /** Attaches to the main command: what it prints from now on comes here as well as into the log. */
  async attach(options?: OperationOptions): Promise<Execution> {
    return this.#execution(await this.#run(options, (native, operation) => native.attach(operation)), true);
  }

  /** Makes it one that outlives the process that starts it, from its next start on. */
  detach(options?: OperationOptions): Promise<void> {
    return this.#run(options, (native, operation) => native.detach(operation));
  }

  /** Stops it: asks every process in it to end, and kills what is left. One that does not run is stopped already. */
  async stop(options?: StopOptions): Promise<void> {
    const timeout = milliseconds(options?.timeoutSecs, 'timeoutSecs', STOP_SECS);
    await this.#run(options, (native, operation) => native.stop(timeout, operation));
  }

  /** Stops it if it runs, and starts it. */
  async restart(options?: StopOptions): Promise<void> {
    const timeout = milliseconds(options?.timeoutSecs, 'timeoutSecs', STOP_SECS);
    await this.#run(options, (native, operation) => native.restart(timeout, operation));
  }

  /** Kills it at once: what its commands had not written to its disk is lost. */
  kill(options?: OperationOptions): Promise<void> {
    return this.#run(options, (native, operation) => native.kill(operation));
  }

  /** Sends a signal to its main command. */
  async signal(signal: number, options?: OperationOptions): Promise<void> {
    const number = integer(signal, 'signal', -0x80000000, 0x7fffffff);
    await this.#run(options, (native, operation) => native.signal(number, operation));
  }

  /** Waits until it has stopped. Returns the exit code: the main command's, 0 after a stop, 137 after a kill. */
  wait(options?: OperationOptions): Promise<number> {
    return this.#run(options, (native, operation) => native.wait(operation));
  }

  /** Removes it and its disk; while it runs only if `force` is set, which kills it. */
  async remove(options?: RemoveOptions): Promise<void> {
    const force = flag(options?.force, 'force');
    await this.#run(options, (native, operation) => native.remove(force, operation));
  }

  /** Runs a command. Returns when it has begun. */
  exec(command: ExecOptions & OperationOptions): Promise<Execution>;
  exec(
    command: string,
    args?: string[] | null,
    env?: Environment | null,
    tty?: boolean | null,
    user?: string | null,
    timeoutSecs?: number | null,
    workingDir?: string | null,
  ): Promise<Execution>;
  async exec(
    command: string | (ExecOptions & OperationOptions),
    args?: string[] | null,
    env?: Environment | null,
    tty?: boolean | null,
    user?: string | null,
    timeoutSecs?: number | null,
    workingDir?: string | null,
  ): Promise<Execution> {
    if (typeof command !== 'string') {
      const { signal, ...options } = object(command, 'exec options');
      const request = encodeCommand(options as ExecOptions);
      const begun = await this.#run({ signal }, (native, operation) => native.exec(request, operation));
      return this.#execution(begun, options.detach === true);
    }
    if (args !== undefined && args !== null && !Array.isArray(args)) {
      throw invalid('args: not a list');
    }
    const given = { env: environment(env, 'env'), tty, user, timeoutSecs, workingDir };
    const named = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
    return this.exec({ argv: [command, ...(args ?? [])], ...Object.fromEntries(named) });
  }

  /** Copies a file or directory of the host into the box, which has to run, by the rules of `docker cp`. */
  async copyIn(host: string, inside: string, options?: (CopyOptions & OperationOptions) | null): Promise<void> {
    const { signal, ...copy } = object(options, 'copy options');
    const request = encodeCopy(copy);
    await this.#run({ signal }, (native, operation) =>
      native.copyIn(text(host, 'host'), text(inside, 'inside'), request, operation),
    );
  }

  /** Copies a file or directory of the box, which has to run, to the host, by the same rules. */
  async copyOut(inside: string, host: string, options?: (CopyOptions & OperationOptions) | null): Promise<void> {
    const { signal, ...copy } = object(options, 'copy options');
    const request = encodeCopy(copy);
    await this.#run({ signal }, (native, operation) =>
      native.copyOut(text(inside, 'inside'), text(host, 'host'), request, operation),
    );
  }

  /** Unpacks a tar archive in an existing directory of the box. */
  async putArchive(
    directory: string,
    archive: Uint8Array | AsyncIterable<Uint8Array>,
    options?: (CopyOptions & OperationOptions) | null,
  ): Promise<void> {
    const { signal, ...copy } = object(options, 'copy options');
    const request = encodeCopy(copy);
    // What is refused is refused before there is a pipe: nobody would read what goes into it.
    const native = this.#handle.get();
    const place = text(directory, 'directory');
    const broken = new AbortController();
    const both = either(broken.signal, signal);
    const source = archive instanceof Uint8Array ? Readable.from([archive]) : archive;
    const pipe = module.NativePipe.create();
    const input = pipe.takeInput();
    const feed = async () => {
      try {
        for await (const piece of source as AsyncIterable<Uint8Array>) {
          await input?.write(piece, 0);
        }
        await input?.close(0);
      } catch (error) {
        // A text is the native end's: the operation is over, and knows why. Anything else is the source's own.
        if (typeof error !== 'string') {
          broken.abort(error);
        }
      }
    };
    const unpacked = run(both, (operation) => native.putArchive(place, pipe, request, operation));
    void feed();
    try {
      await unpacked;
    } catch (error) {
      throw broken.signal.aborted ? broken.signal.reason : error;
    }
  }

  /** Packs a file or directory of the box as a tar archive. */
  async getArchive(path: string, options?: (CopyOptions & OperationOptions) | null): Promise<ExecOutput> {
    const { signal, ...copy } = object(options, 'copy options');
    const request = encodeCopy(copy);
    const packed = await this.#run({ signal }, (native, operation) =>
      native.getArchive(text(path, 'path'), request, operation),
    );
    return new ExecOutput(packed, this.#checkOpen);
  }

  /** Looks up what is at an absolute path in the box. */
  async stat(path: string, options?: { followSymlinks?: boolean } & OperationOptions): Promise<FileStat> {
    const follow = flag(options?.followSymlinks, 'followSymlinks');
    return records.fileStat(
      await this.#run(options, (native, operation) => native.stat(text(path, 'path'), follow, operation)),
    );
  }

  /** Returns what it uses at this moment. */
  async metrics(options?: OperationOptions): Promise<BoxMetrics> {
    return records.record(await this.#run(options, (native, operation) => native.metrics(operation)));
  }

  /** Reads what its main command printed, whether it runs or not. The signal ends the iteration too. */
  async logs(options?: LogOptions): Promise<Logs> {
    const { signal, ...which } = object(options, 'log options');
    const request = encode(which, 'log options');
    return new Logs(await this.#run({ signal }, (native, operation) => native.logs(request, operation)), signal);
  }

  /** Closes the handle; the box does not notice. Calls answer `InvalidState` from now on. */
  close(): void {
    this.#handle.close();
  }

  /** Stops the box, and closes the handle. */
  async [Symbol.asyncDispose](): Promise<void> {
    const native = this.#handle.close();
    if (native === undefined) {
      return;
    }
    try {
      await run(undefined, (operation) => native.stop(STOP_SECS * 1000, operation));
    } catch (error) {
      // It is removed, or its runtime has stopped it.
      if (!(error instanceof NotFoundError || error instanceof StoppedError)) {
        throw error;
      }
    }
  }

  #execution(native: NativeExecution, goesOn: boolean): Execution {
    return new Execution(native, this.#checkOpen, goesOn);
  }
}


/** A command that runs in a box, and its streams. */

import { Readable, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

import { integer } from './arguments.js';
import { invalid } from './errors.js';
import { StoppedError } from './error-codes.js';
import { Handle } from './handle.js';
import type { NativeExecution, NativeInput, NativeOutput } from './native.js';
import { run, waitFor } from './operation.js';
import type { OperationOptions } from './operation.js';
import { exitStatus } from './records.js';
import type { ExecutionResult } from './records.js';

type CheckOpen = () => string | null;

/** Everything a command printed, and how it ended. */
export interface ExecutionOutput extends ExecutionResult {
  stdout: Buffer;
  stderr: Buffer;
}

/**
 * Bytes that come out of a command, or of a box as an archive.
 *
 * Iterate over it for `Buffer`s, or make it a `Readable`. A piece that is not asked for holds the command back, as a pipe
 * would. It ends without an error only if it is complete.
 */
export class ExecOutput implements AsyncIterable<Buffer> {
  readonly #handle: Handle<NativeOutput>;
  #decoder: StringDecoder | undefined;

  /** @internal */
  constructor(native: NativeOutput, checkOpen: CheckOpen) {
    this.#handle = new Handle(native, 'the output', checkOpen);
  }

  /** Waits for the next bytes; `null` at the end. Aborted, none are lost. */
  read(options?: OperationOptions): Promise<Buffer | null> {
    return run(options?.signal, async (operation) => this.#handle.get().read(operation));
  }

  /** Waits for the next text, in UTF-8; `null` at the end. */
  async next(options?: OperationOptions): Promise<string | null> {
    this.#decoder ??= new StringDecoder('utf8');
    for (;;) {
      const bytes = await this.read(options);
      const text = bytes === null ? this.#decoder.end() : this.#decoder.write(bytes);
      if (text !== '' || bytes === null) {
        return text === '' ? null : text;
      }
    }
  }

  /** Reads everything that is still to come. */
  async bytes(options?: OperationOptions): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let piece = await this.read(options); piece !== null; piece = await this.read(options)) {
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  }

  /** Makes it a stream of Node's, which reads ahead by one piece. */
  readable(): Readable {
    return Readable.from(this, { objectMode: false, highWaterMark: 1 });
  }

  /** Throws away what is still to come; the command does not notice. */
  close(): void {
    this.#handle.close()?.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (let piece = await this.read(); piece !== null; piece = await this.read()) {
      yield piece;
    }
  }
}

/** Bytes that go into a command. Until somebody closes it, the command waits for more. */
export class ExecStdin {
  readonly #native: NativeInput;
  readonly #handle: Handle<NativeInput>;
  #closed: Promise<void> = Promise.resolve();

  /** @internal */
  constructor(native: NativeInput, checkOpen: CheckOpen) {
    this.#native = native;
    this.#handle = new Handle(native, 'stdin', checkOpen);
  }

  /** Writes all of it; waits until the box has taken it. Aborted, an unknown part has been written. */
  async write(data: Uint8Array | string, options?: OperationOptions): Promise<void> {
    if (typeof data !== 'string' && !(data instanceof Uint8Array)) {
      throw invalid('data: neither bytes nor a string');
    }
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    await run(options?.signal, async (operation) => this.#handle.get().write(bytes, operation));
  }

  /** Writes a text in UTF-8. */
  writeString(text: string, options?: OperationOptions): Promise<void> {
    return this.write(text, options);
  }

  /** Ends the input without what was not written yet. @internal */
  abandon(): void {
    this.#native.giveUp();
    this.close().catch(() => {});
  }

  /** Ends the input, behind what was written before. May be called again. Aborted, it ends all the same, unwatched. */
  async close(options?: OperationOptions): Promise<void> {
    const native = this.#handle.close();
    if (native !== undefined) {
      // Not under the signal: the handle is closed whoever gives up, and nobody could end the input after that.
      this.#closed = run(undefined, (operation) => native.close(operation));
      this.#closed.catch(() => {});
    }
    await waitFor(this.#closed, options?.signal);
  }

  /** Makes it a stream of Node's, whose end is the end of the input. */
  writable(): Writable {
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => void this.write(chunk).then(() => done(), done),
      final: (done) => void this.close().then(() => done(), done),
    });
  }
}

/**
 * A command that runs in a box.
 *
 * When the garbage collector finds it and its streams before the command has ended, the command is killed, unless it is
 * detached or the main command of its box.
 */
export class Execution {
  readonly #handle: Handle<NativeExecution>;
  readonly #native: NativeExecution;
  readonly #checkOpen: CheckOpen;
  /** Whether the command goes on when it is let go of: it is detached, or the main command of its box. */
  readonly #goesOn: boolean;
  #stdin: ExecStdin | null | undefined;
  #stdout: ExecOutput | null | undefined;
  #stderr: ExecOutput | null | undefined;
  #ended = false;

  /** @internal */
  constructor(native: NativeExecution, checkOpen: CheckOpen, goesOn: boolean) {
    this.#handle = new Handle(native, 'the execution handle', checkOpen);
    this.#native = native;
    this.#checkOpen = checkOpen;
    this.#goesOn = goesOn;
  }

  /** Returns the id, unique among those of the box that run. */
  id(): string {
    return this.#native.id();
  }

  /** Returns the process id inside the box. */
  pid(): number {
    return this.#native.pid();
  }

  /** Returns stdin, the same object each time; `null` if it is not connected. */
  stdin(): ExecStdin | null {
    if (this.#stdin === undefined) {
      const native = this.#handle.get().takeStdin();
      this.#stdin = native && new ExecStdin(native, this.#checkOpen);
    }
    return this.#stdin;
  }

  /** Returns stdout, the same object each time; the terminal, if there is one. `null` if it was thrown away by `wait`. */
  stdout(): ExecOutput | null {
    if (this.#stdout === undefined) {
      const native = this.#handle.get().takeStdout();
      this.#stdout = native && new ExecOutput(native, this.#checkOpen);
    }
    return this.#stdout;
  }

  /** Returns stderr, the same object each time; empty if there is a terminal. `null` if it was thrown away by `wait`. */
  stderr(): ExecOutput | null {
    if (this.#stderr === undefined) {
      const native = this.#handle.get().takeStderr();
      this.#stderr = native && new ExecOutput(native, this.#checkOpen);
    }
    return this.#stderr;
  }

  /**
   * Waits for the end. May be called again.
   *
   * Stdin that nobody asked for by now is closed, output that nobody asked for is thrown away; output that was asked for
   * has to be read for the command to come to its end.
   */
  async wait(options?: OperationOptions): Promise<ExecutionResult> {
    const native = this.#handle.get();
    if (this.#stdin === undefined) {
      await this.stdin()?.close(options);
    }
    const result = exitStatus(await run(options?.signal, (operation) => native.wait(operation)));
    this.#ended = true;
    return result;
  }

  /** Closes stdin, collects everything that is still to come, and waits for the end. */
  async output(options?: OperationOptions): Promise<ExecutionOutput> {
    const read = async (stream: ExecOutput | null) => (await stream?.bytes(options)) ?? Buffer.alloc(0);
    // At the same time: what is still being written may wait for a command that waits for its output to be read.
    const closed = this.stdin()?.close(options);
    const [stdout, stderr] = await Promise.all([read(this.stdout()), read(this.stderr()), closed]);
    return { ...(await this.wait(options)), stdout, stderr };
  }

  /** Sends a signal to its process group; one that has ended is left alone. */
  async signal(signal: number, options?: OperationOptions): Promise<void> {
    const number = integer(signal, 'signal', -0x80000000, 0x7fffffff);
    await run(options?.signal, async (operation) => this.#handle.get().signal(number, operation));
  }

  /** Kills the whole process tree, whatever groups and sessions it made. */
  async kill(options?: OperationOptions): Promise<void> {
    await run(options?.signal, async (operation) => this.#handle.get().kill(operation));
  }

  /** Changes the size of its terminal. */
  async resizeTty(rows: number, columns: number, options?: OperationOptions): Promise<void> {
    const lines = integer(rows, 'rows', 0, 65535);
    const width = integer(columns, 'columns', 0, 65535);
    await run(options?.signal, async (operation) => this.#handle.get().resize(lines, width, operation));
  }

  /** Lets go of it and its streams: a command that still runs is killed, unless it is detached or a main command. */
  close(): void {
    const native = this.#handle.close();
    if (native !== undefined) {
      this.#closeStreams();
      native.release();
    }
  }

  /** Does the same, and waits until a command that has to be killed has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    const native = this.#handle.close();
    if (native === undefined) {
      return;
    }
    this.#closeStreams();
    try {
      if (!this.#ended && !this.#goesOn) {
        await run(undefined, (operation) => native.kill(operation));
        await run(undefined, (operation) => native.wait(operation));
      }
    } catch (error) {
      // With the box or the runtime, the command has gone too.
      if (!(error instanceof StoppedError)) {
        throw error;
      }
    } finally {
      native.release();
    }
  }

  #closeStreams(): void {
    this.#stdout?.close();
    this.#stderr?.close();
    // What cannot be told that its input is over has ended, or is killed now.
    this.#stdin?.abandon();
  }
}

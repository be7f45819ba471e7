/**
 * The native module: what `sdks/node/src` exports, and where it is found.
 *
 * Raw: errors are JSON text, the last argument of what waits is a number to cancel it by. Nobody but `lib` sees it.
 */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface NativeModule {
  version(): string;
  cancel(operation: number): void;
  NativeRuntime: {
    open(options: string, operation: number): Promise<NativeRuntime>;
    openSync(options: string): NativeRuntime | string;
  };
  NativePipe: { create(): NativePipe };
}

export type NativeListener = (event: string) => void;

export interface NativeRuntime {
  images(): NativeImages;
  kernels(): NativeKernels;
  home(): string;
  create(options: string, operation: number): Promise<NativeBox>;
  get(name: string, operation: number): Promise<NativeBox>;
  list(operation: number): Promise<string>;
  remove(name: string, force: boolean, operation: number): Promise<void>;
  events(): NativeEvents;
  usage(operation: number): Promise<string>;
  check(repair: boolean, operation: number): Promise<string>;
  prepare(resources: string, progress: NativeListener | undefined, operation: number): Promise<void>;
  doctor(operation: number): Promise<string>;
  metrics(operation: number): Promise<string>;
  shutdown(timeoutMs: number): Promise<void>;
}

export interface NativeKernels {
  list(operation: number): Promise<string>;
  install(source: string, operation: number): Promise<string>;
}

export interface NativeImages {
  checkOpen(): string | null;
  pull(
    reference: string,
    options: string,
    progress: NativeListener | undefined,
    operation: number,
  ): Promise<string>;
  list(operation: number): Promise<string>;
  get(reference: string, platform: string | undefined, operation: number): Promise<string>;
  inspect(reference: string, platform: string | undefined, operation: number): Promise<string>;
  tag(reference: string, name: string, operation: number): Promise<string>;
  remove(reference: string, force: boolean, operation: number): Promise<string>;
  exportErofs(
    reference: string,
    platform: string | undefined,
    file: string,
    operation: number,
  ): Promise<void>;
}

export interface NativeBox {
  id(): string;
  checkOpen(): string | null;
  info(operation: number): Promise<string>;
  start(operation: number): Promise<void>;
  startAttached(operation: number): Promise<NativeExecution>;
  detach(operation: number): Promise<void>;
  restart(timeoutMs: number, operation: number): Promise<void>;
  exec(command: string, operation: number): Promise<NativeExecution>;
  attach(operation: number): Promise<NativeExecution>;
  stop(timeoutMs: number, operation: number): Promise<void>;
  kill(operation: number): Promise<void>;
  signal(signal: number, operation: number): Promise<void>;
  wait(operation: number): Promise<number>;
  copyIn(host: string, inside: string, options: string, operation: number): Promise<void>;
  copyOut(inside: string, host: string, options: string, operation: number): Promise<void>;
  putArchive(directory: string, pipe: NativePipe, options: string, operation: number): Promise<void>;
  getArchive(path: string, options: string, operation: number): Promise<NativeOutput>;
  stat(path: string, followSymlinks: boolean, operation: number): Promise<string>;
  metrics(operation: number): Promise<string>;
  logs(options: string, operation: number): Promise<NativeLogs>;
  remove(force: boolean, operation: number): Promise<void>;
}

export interface NativeExecution {
  id(): string;
  pid(): number;
  release(): void;
  takeStdin(): NativeInput | null;
  takeStdout(): NativeOutput | null;
  takeStderr(): NativeOutput | null;
  wait(operation: number): Promise<string>;
  kill(operation: number): Promise<void>;
  signal(signal: number, operation: number): Promise<void>;
  resize(rows: number, columns: number, operation: number): Promise<void>;
}

export interface NativeInput {
  write(bytes: Uint8Array, operation: number): Promise<void>;
  giveUp(): void;
  close(operation: number): Promise<void>;
}

export interface NativeOutput {
  read(operation: number): Promise<Buffer | null>;
  close(): void;
}

export interface NativePipe {
  takeInput(): NativeInput | null;
}

export interface NativeEvents {
  next(operation: number): Promise<string | null>;
  close(): void;
}

export interface NativeLogs {
  next(operation: number): Promise<{ atNs: bigint; source: 'stdout' | 'stderr'; bytes: Buffer } | null>;
  close(): void;
}

/** The number of an operation that was given up before it began. */
export const GIVEN_UP = 0xffffffff;

function load(): NativeModule {
  const directory = join(__dirname, '..', 'native');
  const file = `boxlite-${process.platform}-${process.arch}.node`;
  if (!existsSync(join(directory, file))) {
    const held = existsSync(directory) ? readdirSync(directory).join(', ') : 'none';
    throw new Error(
      `@boxlite-ai/boxlite has no native module for ${process.platform} on ${process.arch} (it has: ${held})`,
    );
  }
  return require(join(directory, file)) as NativeModule;
}

export const native = load();

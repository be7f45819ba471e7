/**
 * BoxLite: run code from any OCI image in a box, a machine with its own kernel. No daemon, no root.
 *
 * ```ts
 * import { SimpleBox } from '@boxlite-ai/boxlite';
 *
 * await using box = new SimpleBox({ image: 'debian:12-slim' });
 * console.log((await box.exec('echo', 'hello')).stdout);
 * ```
 */

export { BoxliteError, ExecError, ParseError } from './errors.js';
export type { BoxliteErrorFields } from './errors.js';
export * from './error-codes.js';
export { Boxlite, Boxlite as JsBoxlite, Kernels } from './runtime.js';
export type {
  GetOrCreateResult,
  ImageRegistry,
  ImageRegistry as JsImageRegistry,
  ImageRegistryAuth,
  ImageRegistryAuth as JsImageRegistryAuth,
  KernelSource,
  PrepareOptions,
  RuntimeOptions,
  RuntimeOptions as JsOptions,
} from './runtime.js';
export { Images, Images as ImageHandle } from './images.js';
export type { PlatformOptions, PullOptions, RemoveOptions } from './images.js';
export { Box, Box as JsBox } from './box.js';
export type { LogOptions, StopOptions } from './box.js';
export type { BoxOptions, BoxOptions as JsBoxOptions, CopyOptions, Environment, ExecOptions } from './box-options.js';
export { ExecOutput, ExecStdin, Execution, Execution as JsExecution } from './execution.js';
export type { ExecutionOutput } from './execution.js';
export type { OperationOptions } from './operation.js';
export type { Pull } from './pull.js';
export { Events, Logs } from './sequence.js';
export { SimpleBox } from './simple-box.js';
export type { ExecResult, SimpleBoxOptions, SimpleExecOptions } from './simple-box.js';
export { CodeBox } from './code-box.js';
export type { CodeBoxOptions } from './code-box.js';
export { InteractiveBox } from './interactive-box.js';
export type { InteractiveBoxOptions } from './interactive-box.js';
export type {
  BoxInfo,
  BoxInfo as JsBoxInfo,
  BoxMetrics,
  BoxMetrics as JsBoxMetrics,
  BoxSpec,
  CheckReport,
  DoctorReport,
  ExecutionResult,
  ExitStatus,
  FileStat,
  ImageDetails,
  ImageInfo,
  IsolationInfo,
  KernelInfo,
  LogEntry,
  PrepareEvent,
  PulledImage,
  PulledImage as ImagePullResult,
  PullEvent,
  RemovedImage,
  RuntimeEvent,
  RuntimeMetrics,
  RuntimeMetrics as JsRuntimeMetrics,
  StartStage,
  UsageReport,
} from './records.js';

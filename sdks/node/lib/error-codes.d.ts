// Generated from `api/errors.toml` by `make gen`; change it there.

import { BoxliteError } from './error';

/** What kind of failure an error is. */
export type ErrorCode =
  | 'Internal'
  | 'NotFound'
  | 'AlreadyExists'
  | 'InvalidState'
  | 'InvalidArgument'
  | 'Config'
  | 'Storage'
  | 'Image'
  | 'Network'
  | 'Execution'
  | 'Stopped'
  | 'Engine'
  | 'Unsupported'
  | 'Database'
  | 'ResourceExhausted'
  | 'Cancelled'
  | 'Timeout'
  | 'Unauthorized'
  | 'DigestMismatch'
  | 'PlatformMismatch'
  | 'InUse'
  | 'NoSpace'
  | 'RateLimited'
  | 'InvalidHandle'
  | 'ForkedProcess';

/** The number of each code: the same in every language. */
export declare const ErrorNumber: Readonly<Record<ErrorCode, number>>;

/** The class of each code. */
export declare const ErrorClass: Readonly<Record<ErrorCode, typeof BoxliteError>>;

/** A defect in BoxLite itself. */
export declare class InternalError extends BoxliteError {}
/** The named thing does not exist. */
export declare class NotFoundError extends BoxliteError {}
/** A thing of that name exists already. */
export declare class AlreadyExistsError extends BoxliteError {}
/** The thing exists, but cannot do this in the state it is in. */
export declare class InvalidStateError extends BoxliteError {}
/** The input is malformed or out of range. */
export declare class InvalidArgumentError extends BoxliteError {}
/** A configuration file or setting cannot be used. */
export declare class ConfigError extends BoxliteError {}
/** Reading or writing the home directory failed. */
export declare class StorageError extends BoxliteError {}
/** The image is malformed, or uses something that cannot be supported safely. */
export declare class ImageError extends BoxliteError {}
/** The other side could not be reached, or broke the conversation off. */
export declare class NetworkError extends BoxliteError {}
/** A command could not be started in the box. */
export declare class ExecutionError extends BoxliteError {}
/** The runtime was shut down, or the box was stopped. */
export declare class StoppedError extends BoxliteError {}
/** The isolation engine failed. */
export declare class EngineError extends BoxliteError {}
/** This host, engine or build cannot do what was asked. */
export declare class UnsupportedError extends BoxliteError {}
/** The state database refused a transaction. */
export declare class DatabaseError extends BoxliteError {}
/** A limit on memory, processes, files or size was reached. */
export declare class ResourceExhaustedError extends BoxliteError {}
/** The caller cancelled the operation, and it was rolled back. */
export declare class CancelledError extends BoxliteError {}
/** The operation did not finish within its deadline, and was rolled back. */
export declare class TimeoutError extends BoxliteError {}
/** The registry wants credentials, or refuses the ones it was given. */
export declare class UnauthorizedError extends BoxliteError {}
/** Bytes are not what their digest, size or DiffID promises. */
export declare class DigestMismatchError extends BoxliteError {}
/** The image does not exist for the platform asked for. */
export declare class PlatformMismatchError extends BoxliteError {}
/** Something else still needs the thing that was to be changed. */
export declare class InUseError extends BoxliteError {}
/** The disk is full, or would be. */
export declare class NoSpaceError extends BoxliteError {}
/** The registry asks to wait. */
export declare class RateLimitedError extends BoxliteError {}
/** The handle was freed, is of another kind, or never existed. */
export declare class InvalidHandleError extends BoxliteError {}
/** The runtime was opened before a fork, and cannot be used in the child. */
export declare class ForkedProcessError extends BoxliteError {}

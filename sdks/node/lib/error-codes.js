// Generated from `api/errors.toml` by `make gen`; change it there.
'use strict';

const { BoxliteError } = require('./error.js');

class InternalError extends BoxliteError {}
class NotFoundError extends BoxliteError {}
class AlreadyExistsError extends BoxliteError {}
class InvalidStateError extends BoxliteError {}
class InvalidArgumentError extends BoxliteError {}
class ConfigError extends BoxliteError {}
class StorageError extends BoxliteError {}
class ImageError extends BoxliteError {}
class NetworkError extends BoxliteError {}
class ExecutionError extends BoxliteError {}
class StoppedError extends BoxliteError {}
class EngineError extends BoxliteError {}
class UnsupportedError extends BoxliteError {}
class DatabaseError extends BoxliteError {}
class ResourceExhaustedError extends BoxliteError {}
class CancelledError extends BoxliteError {}
class TimeoutError extends BoxliteError {}
class UnauthorizedError extends BoxliteError {}
class DigestMismatchError extends BoxliteError {}
class PlatformMismatchError extends BoxliteError {}
class InUseError extends BoxliteError {}
class NoSpaceError extends BoxliteError {}
class RateLimitedError extends BoxliteError {}
class InvalidHandleError extends BoxliteError {}
class ForkedProcessError extends BoxliteError {}

/** The number of each code: the same in every language. */
const ErrorNumber = Object.freeze({
  Internal: 1,
  NotFound: 2,
  AlreadyExists: 3,
  InvalidState: 4,
  InvalidArgument: 5,
  Config: 6,
  Storage: 7,
  Image: 8,
  Network: 9,
  Execution: 10,
  Stopped: 11,
  Engine: 12,
  Unsupported: 13,
  Database: 14,
  ResourceExhausted: 20,
  Cancelled: 32,
  Timeout: 33,
  Unauthorized: 34,
  DigestMismatch: 35,
  PlatformMismatch: 36,
  InUse: 37,
  NoSpace: 38,
  RateLimited: 39,
  InvalidHandle: 40,
  ForkedProcess: 41,
});

/** The class of each code. */
const ErrorClass = Object.freeze({
  Internal: InternalError,
  NotFound: NotFoundError,
  AlreadyExists: AlreadyExistsError,
  InvalidState: InvalidStateError,
  InvalidArgument: InvalidArgumentError,
  Config: ConfigError,
  Storage: StorageError,
  Image: ImageError,
  Network: NetworkError,
  Execution: ExecutionError,
  Stopped: StoppedError,
  Engine: EngineError,
  Unsupported: UnsupportedError,
  Database: DatabaseError,
  ResourceExhausted: ResourceExhaustedError,
  Cancelled: CancelledError,
  Timeout: TimeoutError,
  Unauthorized: UnauthorizedError,
  DigestMismatch: DigestMismatchError,
  PlatformMismatch: PlatformMismatchError,
  InUse: InUseError,
  NoSpace: NoSpaceError,
  RateLimited: RateLimitedError,
  InvalidHandle: InvalidHandleError,
  ForkedProcess: ForkedProcessError,
});

module.exports = {
  ErrorNumber,
  ErrorClass,
  InternalError,
  NotFoundError,
  AlreadyExistsError,
  InvalidStateError,
  InvalidArgumentError,
  ConfigError,
  StorageError,
  ImageError,
  NetworkError,
  ExecutionError,
  StoppedError,
  EngineError,
  UnsupportedError,
  DatabaseError,
  ResourceExhaustedError,
  CancelledError,
  TimeoutError,
  UnauthorizedError,
  DigestMismatchError,
  PlatformMismatchError,
  InUseError,
  NoSpaceError,
  RateLimitedError,
  InvalidHandleError,
  ForkedProcessError,
};

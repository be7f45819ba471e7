/** Errors: the classes, and how those of the native module become them. */

import { BoxliteError, define } from './error.js';
import { CancelledError, ErrorClass, ErrorNumber, ExecutionError, InvalidArgumentError } from './error-codes.js';
import type { ErrorCode } from './error-codes.js';

for (const [code, type] of Object.entries(ErrorClass)) {
  define(type, code as ErrorCode, ErrorNumber[code as ErrorCode]);
}

// What cancels here is an `AbortSignal`, and by this name programs tell what it did.
Object.defineProperty(CancelledError.prototype, 'name', { value: 'AbortError' });

/** A command of one of the simple classes that ended with something else than 0. */
export class ExecError extends ExecutionError {
  constructor(
    /** The command. */
    readonly command: string,
    /** Its exit code, or 128 + the signal that ended it. */
    readonly exitCode: number,
    /** What it printed to stderr. */
    readonly stderr: string,
  ) {
    super(`\`${command}\` ended with ${exitCode}`, { operation: 'box.exec' });
  }
}

/** Output of a command that is not what it was expected to be. */
export class ParseError extends BoxliteError {
  constructor(message: string) {
    super(message, { code: 'Execution' });
  }
}

interface NativeError {
  code: ErrorCode;
  message: string;
  operation: string | null;
  context: Record<string, string>;
  retryable: boolean;
  hint: string | null;
  source: string | null;
}

/** Makes an error of its JSON text; what is none is a defect, and stays as it is. */
export function fromNative(text: unknown, signal?: AbortSignal): unknown {
  if (typeof text !== 'string') {
    return text;
  }
  const fields = JSON.parse(text) as NativeError;
  let cause: unknown = fields.source === null ? undefined : new Error(fields.source);
  if (fields.code === 'Cancelled' && signal?.aborted) {
    cause = signal.reason;
  }
  const type = ErrorClass[fields.code] ?? BoxliteError;
  return new type(fields.message, {
    code: fields.code,
    operation: fields.operation ?? undefined,
    context: fields.context,
    retryable: fields.retryable,
    hint: fields.hint ?? undefined,
    cause,
  });
}

/** Makes the error of an argument that cannot be. */
export function invalid(message: string, operation?: string): BoxliteError {
  return new InvalidArgumentError(message, { operation });
}

export { BoxliteError } from './error.js';
export type { BoxliteErrorFields } from './error.js';

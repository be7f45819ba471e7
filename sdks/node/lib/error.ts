/**
 * The one error type: data first, prose second.
 *
 * The classes below it, one for each code, are generated (`error-codes.js`); `errors.ts` tells this module about them.
 */

import type { ErrorCode } from './error-codes.js';

/** What an error says besides its message. */
export interface BoxliteErrorFields {
  /** What kind of failure it is; by default that of the class. */
  code?: ErrorCode;
  /** The operation that failed, as `images.pull`. */
  operation?: string | undefined;
  /** What it happened to: `reference`, `digest`, `registry`, `path`, `box`, `entry`, `platform`, `status`. */
  context?: Readonly<Record<string, string>>;
  /** Whether the same call may succeed later, without anything being changed by the caller. */
  retryable?: boolean;
  /** What to do about it. */
  hint?: string | undefined;
  /** The failure below it; of something cancelled, the reason of the signal. */
  cause?: unknown;
}

type Class = abstract new (...args: never[]) => unknown;

const codes = new Map<Class, ErrorCode>();
const numbers = new Map<ErrorCode, number>();

/** Makes a class the one of a code. */
export function define(type: Class, code: ErrorCode, number: number): void {
  codes.set(type, code);
  numbers.set(code, number);
}

function codeOf(type: Class | null): ErrorCode {
  for (let known = type; known !== null; known = Object.getPrototypeOf(known) as Class | null) {
    const code = codes.get(known);
    if (code !== undefined) {
      return code;
    }
  }
  return 'Internal';
}

/** A failure, with what it happened to and what to do about it. */
export class BoxliteError extends Error {
  /** What kind of failure it is. The same word in every language. */
  readonly code: ErrorCode;
  /** The number of the code. The same in every language. */
  readonly status: number;
  /** The operation that failed, as `images.pull`. */
  readonly operation: string | undefined;
  /** What it happened to: `reference`, `digest`, `registry`, `path`, `box`, `entry`, `platform`, `status`. */
  readonly context: Readonly<Record<string, string>>;
  /** Whether the same call may succeed later, without anything being changed by the caller. */
  readonly retryable: boolean;
  /** What to do about it, where there is something to say. */
  readonly hint: string | undefined;

  constructor(message: string, fields: BoxliteErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code ?? codeOf(new.target);
    this.status = numbers.get(this.code) ?? 0;
    this.operation = fields.operation;
    this.context = Object.freeze({ ...fields.context });
    this.retryable = fields.retryable ?? false;
    this.hint = fields.hint;
  }

  override get name(): string {
    return this.constructor.name;
  }
}

/**
 * Checks of what people write, before it reaches the native module.
 *
 * The shape of options is checked there, key by key; here is what JSON would lose on the way: functions in the wrong place,
 * numbers that are none.
 */

import { BoxliteError, invalid } from './errors.js';
import { UnsupportedError } from './error-codes.js';

/** Returns a text. */
export function text(value: unknown, name: string): string {
  if (typeof value !== 'string') {
    throw invalid(`${name}: not a string`);
  }
  return value;
}

/** Returns a text, or nothing. */
export function optionalText(value: unknown, name: string): string | undefined {
  return value === undefined || value === null ? undefined : text(value, name);
}

/** Returns a truth value; false if there is none. */
export function flag(value: unknown, name: string): boolean {
  if (value !== undefined && value !== null && typeof value !== 'boolean') {
    throw invalid(`${name}: not a boolean`);
  }
  return value ?? false;
}

/** Returns a whole number of that range. */
export function integer(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw invalid(`${name}: not a whole number from ${least} to ${most}`);
  }
  return value;
}

/** Returns seconds as milliseconds. */
export function milliseconds(seconds: unknown, name: string, usual: number): number {
  const value = seconds ?? usual;
  if (typeof value !== 'number' || !(value >= 0)) {
    throw invalid(`${name}: not a number of seconds`);
  }
  return value * 1000;
}

/** Returns options as an object that may be taken apart; none at all are no options. */
export function options<T extends object>(value: T | null | undefined, name: string): Partial<T> {
  if (value !== undefined && value !== null && (typeof value !== 'object' || Array.isArray(value))) {
    throw invalid(`${name}: not an object`);
  }
  return value ?? {};
}

/** Refuses keys that are left over. */
export function nothingElse(rest: object, name: string): void {
  for (const [key, value] of Object.entries(rest)) {
    if (value !== undefined) {
      throw invalid(`${name}: unknown option \`${key}\``);
    }
  }
}

/** Writes options for the native module. */
export function encode(value: object, name: string): string {
  return JSON.stringify(value, (key, part: unknown) => {
    const lost =
      typeof part === 'function' ||
      typeof part === 'symbol' ||
      typeof part === 'bigint' ||
      (typeof part === 'number' && !Number.isFinite(part));
    if (lost) {
      throw invalid(`${name}: \`${key}\` cannot be ${String(part)}`);
    }
    return part === null ? undefined : part;
  });
}

/** Makes the error of an option of the published package that cannot be honoured. */
export function unsupported(what: string, reason: string): BoxliteError {
  return new UnsupportedError(`${what} is not supported: ${reason}`);
}

/** Returns an object whose values are texts. */
export function texts(value: unknown, name: string): Record<string, string> | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  const given = options(value, name) as Record<string, string>;
  for (const [key, part] of Object.entries(given)) {
    text(part, `${name}: ${key}`);
  }
  return given;
}

/** Returns an environment as an object, whatever it was written as. */
export function environment(value: unknown, name: string): Record<string, string> | undefined {
  if (!Array.isArray(value)) {
    return texts(value, name);
  }
  const entries = value.map((entry: unknown): [string, string] => {
    const [key, part] = Array.isArray(entry)
      ? (entry as unknown[])
      : [(entry as { key?: unknown })?.key, (entry as { value?: unknown })?.value];
    return [text(key, `${name}: a name`), text(part, `${name}: ${String(key)}`)];
  });
  return Object.fromEntries(entries);
}

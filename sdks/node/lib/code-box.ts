/** A box that runs Python. */

import { readFile } from 'node:fs/promises';

import { options as object, text } from './arguments.js';
import { ExecError } from './errors.js';
import type { OperationOptions } from './operation.js';
import { SimpleBox } from './simple-box.js';
import type { SimpleBoxOptions } from './simple-box.js';

/** How a code box is made: of `python:slim` by default. */
export type CodeBoxOptions = SimpleBoxOptions;

/** A box that runs Python, with the `python3` of its image. */
export class CodeBox extends SimpleBox {
  constructor(options?: CodeBoxOptions) {
    const given = object(options, 'box options');
    super({ ...given, image: given.image ?? 'python:slim' });
  }

  /** Runs code. Returns what it printed to stdout; `ExecError` if it failed. */
  async run(code: string, options: OperationOptions = {}): Promise<string> {
    // By stdin: Linux takes no argument of 128 KiB or more.
    return this.#run(['-'], options, text(code, 'code'));
  }

  /** Runs a script of the host. Returns what it printed to stdout; `ExecError` if it failed. */
  async runScript(scriptPath: string, options: OperationOptions = {}): Promise<string> {
    return this.run(await readFile(scriptPath, 'utf8'), options);
  }

  /** Installs a package with pip, in the spelling of pip. Returns what it printed. */
  installPackage(name: string, options: OperationOptions = {}): Promise<string> {
    return this.#run(['-m', 'pip', 'install', text(name, 'name')], options);
  }

  /** Installs several packages with pip. */
  installPackages(...names: string[]): Promise<string> {
    return this.#run(['-m', 'pip', 'install', ...names], {});
  }

  async #run(args: string[], options: OperationOptions, input?: string): Promise<string> {
    const result = await this.execute({ argv: ['python3', ...args] }, options, input);
    if (result.exitCode !== 0) {
      throw new ExecError('python3', result.exitCode, result.stderr);
    }
    return result.stdout;
  }
}

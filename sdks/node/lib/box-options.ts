/** A box as it is asked for: every way of writing it, made into the one the native module takes. */

import { encode, environment, integer, milliseconds, options as object, text, texts, unsupported } from './arguments.js';
import { invalid } from './errors.js';
import { refuseBoxOptions, withoutRefused } from './published.js';

/** An environment: an object, or what the published package takes. */
export type Environment = Record<string, string> | [string, string][] | { key: string; value: string }[];

/** A command. */
export interface ExecOptions {
  /** Program and arguments. */
  argv: string[];
  /** On top of the image's and the box's. */
  env?: Environment;
  /** Created if missing; the image's if there is none. */
  workingDir?: string;
  /** `user[:group]`, by name or number. */
  user?: string;
  /** A terminal; `true` is one of 24 lines and 80 columns. */
  tty?: boolean | { rows: number; columns: number };
  /** Whether stdin is connected: true unless it says otherwise. */
  stdin?: boolean;
  /** Lets it go on in the box when nobody holds it. It gets no stdin, and its output is thrown away. */
  detach?: boolean;
  /** Kills the whole process tree after so long. */
  timeoutSecs?: number;
}

/** A box. */
export interface BoxOptions {
  /** Reference of an image in the store; `alpine:latest` by default. */
  image?: string;
  /** Unique in the home. */
  name?: string;
  /** As `linux/arm64`; the host's by default. */
  platform?: string;
  /** 1 to 16; 1 by default. */
  cpus?: number;
  /** 128 to 65536; 1024 by default. */
  memoryMib?: number;
  /** Size of its own writable disk, 64 to 61440; 10240 by default. Empty space costs nothing. */
  diskMib?: number;
  /** The same in GiB. */
  diskSizeGb?: number;
  /** For every command in the box. */
  env?: Environment;
  workingDir?: string;
  user?: string;
  hostname?: string;
  /** Instead of the image's. */
  entrypoint?: string[];
  /** Its main command, run at each start; the box stops when it ends. Without one it stays up until it is stopped. */
  cmd?: string[];
  /** The same, with everything a command can be given. */
  main?: Partial<ExecOptions>;
  /** Whether it outlives the process that started it. */
  detach?: boolean;
  /** Whether it is removed when it stops. */
  autoRemove?: boolean;
  /** For its owner's own use. */
  labels?: Record<string, string>;
}

/** The image of a box that names none. */
export const DEFAULT_IMAGE = 'alpine:latest';

const TERMINAL = { rows: 24, columns: 80 };

function command(options: Partial<ExecOptions>, name: string, stdinByDefault: boolean): object {
  const { argv, env, tty, timeoutSecs, stdin, detach, ...rest } = options;
  if (argv !== undefined && !Array.isArray(argv)) {
    throw invalid(`${name}: argv is not a list`);
  }
  const terminal =
    typeof tty === 'object' && tty !== null
      ? {
          rows: integer(tty.rows, 'rows', 0, 65535),
          columns: integer(tty.columns, 'columns', 0, 65535),
        }
      : tty
        ? TERMINAL
        : undefined;
  const timeout =
    timeoutSecs === undefined || timeoutSecs === null
      ? undefined
      : Math.ceil(milliseconds(timeoutSecs, 'timeoutSecs', 0));
  return {
    ...rest,
    argv,
    env: environment(env, 'env'),
    tty: terminal,
    stdin: stdin ?? (stdinByDefault && detach !== true),
    detach,
    timeoutMs: timeout,
  };
}

/** Writes a command for the native module. */
export function encodeCommand(options: ExecOptions): string {
  return encode(command(options, 'exec options', true), 'exec options');
}

/** Writes a box for the native module. */
export function encodeBox(options: BoxOptions, name?: string | null): string {
  refuseBoxOptions(options);
  const { image, diskSizeGb, diskMib, env, labels, cmd, main, ...rest } = withoutRefused(options);
  if (cmd !== undefined && cmd !== null && main !== undefined) {
    throw invalid('box options: `cmd` and `main` both name the main command');
  }
  if (diskMib !== undefined && diskSizeGb !== undefined) {
    throw invalid('box options: `diskMib` and `diskSizeGb` both name the size of the disk');
  }
  if (diskSizeGb !== undefined && diskSizeGb !== null && !(typeof diskSizeGb === 'number' && diskSizeGb > 0)) {
    throw invalid('diskSizeGb: not a size');
  }
  const asked = cmd !== undefined && cmd !== null ? { argv: cmd } : main;
  const request = {
    ...rest,
    image: image === undefined || image === null ? DEFAULT_IMAGE : text(image, 'image'),
    name: name ?? rest.name,
    diskMib: diskSizeGb ? Math.round(diskSizeGb * 1024) : diskMib,
    env: environment(env, 'env'),
    labels: texts(labels, 'labels'),
    main: asked === undefined ? undefined : command(object(asked, 'main'), 'main', false),
  };
  return encode(request, 'box options');
}

/** How files are copied. */
export interface CopyOptions {
  /** Whether a file that exists is replaced; true by default. */
  overwrite?: boolean;
  /** Whether a symbolic link that is named as the source is copied as what it points to. */
  followSymlinks?: boolean;
  /** Into a box: who owns it there, root by default; `source` keeps the numbers of the source. */
  owner?: { uid: number; gid: number } | 'source';
  /** Directories are always copied whole. */
  recursive?: true;
  /** A directory always keeps its name; `dir/.` means what is in it. */
  includeParent?: true;
}

/** Writes how files are copied for the native module. */
export function encodeCopy(options: CopyOptions): string {
  const { recursive, includeParent, ...rest } = options;
  for (const [key, value] of Object.entries({ recursive, includeParent })) {
    if (value !== undefined && value !== null && value !== true) {
      throw unsupported(`\`${key}: ${String(value)}\``, 'directories are copied whole, `dir/.` copies what is in one');
    }
  }
  return encode(rest, 'copy options');
}

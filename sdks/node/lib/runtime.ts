/** The open handle to a home. */

import { setImmediate as turn } from 'node:timers/promises';

import { encode, flag, milliseconds, options as object, optionalText, text } from './arguments.js';
import { Box } from './box.js';
import { encodeBox } from './box-options.js';
import type { BoxOptions } from './box-options.js';
import { AlreadyExistsError, InvalidStateError, NotFoundError, TimeoutError } from './error-codes.js';
import { fromNative, invalid } from './errors.js';
import { Images } from './images.js';
import type { RemoveOptions } from './images.js';
import { Listener } from './listener.js';
import { native as module } from './native.js';
import type { NativeKernels, NativeRuntime } from './native.js';
import { checked, run } from './operation.js';
import type { OperationOptions } from './operation.js';
import * as records from './records.js';
import type {
  BoxInfo,
  CheckReport,
  DoctorReport,
  KernelInfo,
  PrepareEvent,
  RuntimeMetrics,
  UsageReport,
} from './records.js';
import { Events } from './sequence.js';

/** What is known of one registry. */
export interface ImageRegistry {
  /** Host, with the port if it is not the usual one. */
  host: string;
  transport?: 'https' | 'http';
  /** Accept any certificate. */
  skipVerify?: boolean;
  /** PEM file of certificate authorities trusted for this host besides the system's. */
  caFile?: string;
  /** Look up names without a host here. */
  search?: boolean;
  auth?: ImageRegistryAuth;
}

/** Credentials for a registry: a user name with a password, or one token. */
export interface ImageRegistryAuth {
  username?: string;
  password?: string;
  bearerToken?: string;
  identityToken?: string;
}

/** How a runtime is opened. */
export interface RuntimeOptions {
  /** `$BOXLITE_HOME` by default, and `~/.boxlite` without that. */
  homeDir?: string;
  imageRegistries?: ImageRegistry[];
  /** A docker `config.json`, for credentials; docker's own by default. */
  dockerConfig?: string;
  /** Layers fetched at a time, by all pulls together; 4 by default. */
  parallelLayers?: number;
  connectTimeoutMs?: number;
  /** How long a registry may go without a byte. */
  stallTimeoutMs?: number;
  /** Attempts in all at what may pass; 5 by default. */
  retryAttempts?: number;
  /** Delay before the second one. */
  retryDelayMs?: number;
  /** QEMU; the one on the `PATH` by default. */
  qemu?: string;
  /** Release of the guest kernel. */
  kernel?: string;
  /** What runs the guests; the fastest that is proven to, by default. */
  accelerator?: 'fastest' | 'kvm' | 'tcg';
  /**
   * Keeps one machine ready for the next start, from the first start of a box on, for boxes of the same image
   * and size that are not detached; `prepare` waits until it is ready. Without hardware virtualisation a
   * start then takes a quarter to half of the time, for the memory of one more idle box and, after each start, half a
   * second of a processor. Off by default.
   */
  spareMachine?: boolean;
}

/** Where a guest kernel comes from: the distribution, a package, or files. */
export interface KernelSource {
  /** A package file (`.deb`). */
  package?: string;
  /** `bzImage` or `vmlinux`. */
  image?: string;
  /** Directory of its modules. */
  modules?: string;
}

/** For which boxes a runtime is prepared. */
export interface PrepareOptions extends OperationOptions {
  cpus?: number;
  memoryMib?: number;
  diskMib?: number;
  /** Told what happens. */
  onProgress?: (event: PrepareEvent) => void;
}

/** A box, and whether it was made now. */
export interface GetOrCreateResult {
  created: boolean;
  box: Box;
}

const SHUTDOWN_SECS = 10;
const CLOSE_SECS = 2;

/** The guest kernels of a home. */
export class Kernels {
  readonly #native: NativeKernels;

  /** @internal */
  constructor(native: NativeKernels) {
    this.#native = native;
  }

  /** Lists what is installed, the one installed last first. */
  async list(options?: OperationOptions): Promise<KernelInfo[]> {
    return records.record(await run(options?.signal, (operation) => this.#native.list(operation)));
  }

  /** Installs one into the home; the host's own is not touched. */
  async install(source?: KernelSource & OperationOptions): Promise<KernelInfo> {
    const { signal, ...files } = object(source, 'kernel source');
    const request = encode(files, 'kernel source');
    return records.record(await run(signal, (operation) => this.#native.install(request, operation)));
  }
}

/** What `Boxlite.open` hands to the constructor. */
class Opened {
  constructor(readonly native: NativeRuntime) {}
}

let usual: Boxlite | undefined;

/**
 * The open handle to a home.
 *
 * From the moment it is shut down, closed or found by the garbage collector, every call on it and on every handle made from
 * it answers `Stopped`. Image handles, box handles and executions do not keep it open; a call that is under way on the
 * runtime itself does.
 */
export class Boxlite {
  /** The images of the home: the same object each time. */
  declare readonly images: Images;
  /** The guest kernels of the home. */
  declare readonly kernels: Kernels;
  /** The home directory. */
  declare readonly home: string;
  readonly #native: NativeRuntime;
  readonly #checkOpen: () => string | null;

  /** Opens a home, making it if it does not exist; waits for that, which takes milliseconds. */
  constructor(options?: RuntimeOptions);
  constructor(options?: RuntimeOptions | Opened) {
    const native = options instanceof Opened ? options.native : openSync(options);
    const images = native.images();
    this.#native = native;
    this.#checkOpen = () => images.checkOpen();
    const fixed = { images: new Images(images), kernels: new Kernels(native.kernels()), home: native.home() };
    for (const [key, value] of Object.entries(fixed)) {
      Object.defineProperty(this, key, { value, enumerable: true });
    }
  }

  /** Opens a home, making it if it does not exist. */
  static async open(options?: RuntimeOptions & OperationOptions): Promise<Boxlite> {
    const { signal, ...rest } = object(options, 'runtime options');
    const request = encode(rest, 'runtime options');
    const native = await run(signal, (operation) => module.NativeRuntime.open(request, operation));
    return new (Boxlite as new (opened: Opened) => Boxlite)(new Opened(native));
  }

  /** Returns the runtime that the simple classes use if they are not given one: the same as long as it is open. */
  static withDefaultConfig(): Boxlite {
    if (usual === undefined || usual.#checkOpen() !== null) {
      usual = new Boxlite();
    }
    return usual;
  }

  /** Opens the runtime that `withDefaultConfig` returns. */
  static initDefault(options?: RuntimeOptions): void {
    if (usual !== undefined && usual.#checkOpen() === null) {
      throw new InvalidStateError('the default runtime is open', {
        hint: 'call `initDefault` once, before anything uses the default runtime',
      });
    }
    usual = new Boxlite(options);
  }

  /** Makes a box of an image that is in the store. Nothing runs yet. */
  async create(options: BoxOptions & OperationOptions, name?: string | null): Promise<Box> {
    const { signal, ...rest } = object(options, 'box options');
    const called = optionalText(name ?? rest.name, 'name') ?? null;
    const request = encodeBox(rest, called);
    return new Box(await run(signal, (operation) => this.#native.create(request, operation)), called);
  }

  /** Finds a box by its name, its id or a unique prefix of its id; `null` if there is none. */
  async get(idOrName: string, options?: OperationOptions): Promise<Box | null> {
    return (await this.#find(idOrName, options))?.box ?? null;
  }

  /** Returns what is known of a box now; `null` if there is none. */
  async getInfo(idOrName: string, options?: OperationOptions): Promise<BoxInfo | null> {
    return (await this.#find(idOrName, options))?.info ?? null;
  }

  /** Finds the box of that name, or makes it. Without a name it is always made. */
  async getOrCreate(options: BoxOptions & OperationOptions, name?: string | null): Promise<GetOrCreateResult> {
    const called = name ?? options?.name;
    for (;;) {
      const box = called === undefined ? null : await this.get(called, { signal: options?.signal });
      if (box !== null) {
        return { created: false, box };
      }
      try {
        return { created: true, box: await this.create(options, name) };
      } catch (error) {
        // Somebody else was faster, or has removed it since.
        if (!(error instanceof AlreadyExistsError)) {
          throw error;
        }
      }
    }
  }

  async #find(idOrName: string, options: OperationOptions | undefined): Promise<{ box: Box; info: BoxInfo } | null> {
    const name = text(idOrName, 'idOrName');
    try {
      const native = await run(options?.signal, (operation) => this.#native.get(name, operation));
      const info = records.box(await run(options?.signal, (operation) => native.info(operation)));
      return { box: new Box(native, info.name ?? null), info };
    } catch (error) {
      if (error instanceof NotFoundError) {
        return null;
      }
      throw error;
    }
  }

  /** Lists all boxes of the home, newest first, as they are now: also those of other processes. */
  async listInfo(options?: OperationOptions): Promise<BoxInfo[]> {
    return records.boxes(await run(options?.signal, (operation) => this.#native.list(operation)));
  }

  /** Removes a box and its disk; one that runs only if `force` is set, which kills it. */
  async remove(idOrName: string, options?: boolean | RemoveOptions | null): Promise<void> {
    const { signal, force } = typeof options === 'boolean' ? { force: options, signal: undefined } : (options ?? {});
    const forced = flag(force, 'force');
    await run(signal, (operation) => this.#native.remove(text(idOrName, 'idOrName'), forced, operation));
  }

  /** Listens to what happens from the call on, until the runtime is shut down. The signal ends the iteration too. */
  events(options?: OperationOptions): Events {
    const refusal = this.#checkOpen();
    if (refusal !== null) {
      throw fromNative(refusal);
    }
    const signal = checked(options?.signal);
    return new Events(this.#native.events(), signal);
  }

  /** Measures what takes space in the home. */
  async usage(options?: OperationOptions): Promise<UsageReport> {
    return records.record(await run(options?.signal, (operation) => this.#native.usage(operation)));
  }

  /** Examines the whole home; mends what it can if `repair` is set. */
  async check(options?: { repair?: boolean } & OperationOptions): Promise<CheckReport> {
    const repair = flag(options?.repair, 'repair');
    return records.record(await run(options?.signal, (operation) => this.#native.check(repair, operation)));
  }

  /** Does now what the first start of such a box would do: kernel, accelerator, warm template. */
  async prepare(options?: PrepareOptions): Promise<void> {
    const { signal, onProgress, ...resources } = object(options, 'prepare options');
    if (onProgress !== undefined && typeof onProgress !== 'function') {
      throw invalid('onProgress: not a function');
    }
    const request = encode(resources, 'prepare options');
    const listener = new Listener<PrepareEvent>(onProgress, signal);
    await listener.guard(
      run(listener.signal, (operation) => this.#native.prepare(request, listener.tell, operation)),
    );
  }

  /** Looks at whether boxes can run on this host, and says what to do if not. */
  async doctor(options?: OperationOptions): Promise<DoctorReport> {
    return records.record(await run(options?.signal, (operation) => this.#native.doctor(operation)));
  }

  /** Returns what this runtime has done. */
  async metrics(options?: OperationOptions): Promise<RuntimeMetrics> {
    return records.record(await run(options?.signal, (operation) => this.#native.metrics(operation)));
  }

  /**
   * Shuts the runtime down, within that many seconds: what is under way is cancelled, boxes that are not detached are
   * stopped. From the call on, everything else answers `Stopped`; when it is over, nothing in this process touches the home.
   *
   * May be called again, and by several at once. It takes no signal: it cannot be called off.
   */
  async shutdown(timeoutSecs?: number | null): Promise<void> {
    const timeout = milliseconds(timeoutSecs, 'timeoutSecs', SHUTDOWN_SECS);
    try {
      await run(undefined, () => this.#native.shutdown(timeout));
    } finally {
      // What ended before may have been settled in the same turn, and be further from its caller than this is.
      await turn();
    }
  }

  /** Does the same within two seconds, by force if it has to. */
  async close(): Promise<void> {
    try {
      await this.shutdown(CLOSE_SECS);
    } catch (error) {
      // Force was needed; the home is let go of all the same.
      if (!(error instanceof TimeoutError)) {
        throw error;
      }
    }
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function openSync(options: RuntimeOptions | undefined): NativeRuntime {
  const opened = module.NativeRuntime.openSync(encode(object(options, 'runtime options'), 'runtime options'));
  if (typeof opened === 'string') {
    throw fromNative(opened);
  }
  return opened;
}

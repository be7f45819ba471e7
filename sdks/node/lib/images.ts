/** The image handle. */

import { encode, flag, nothingElse, options as object, optionalText, text } from './arguments.js';
import { invalid } from './errors.js';
import { Handle } from './handle.js';
import { Listener } from './listener.js';
import type { NativeImages } from './native.js';
import { run } from './operation.js';
import type { OperationOptions } from './operation.js';
import { pull } from './pull.js';
import type { Pull } from './pull.js';
import * as records from './records.js';
import type { ImageDetails, ImageInfo, PulledImage, PullEvent, RemovedImage } from './records.js';

/** How one image is pulled. */
export interface PullOptions extends OperationOptions {
  /** As `linux/arm64`; the host's by default. */
  platform?: string;
  /** When the registry is asked: every time, if the reference is not held, or not at all. */
  policy?: 'always' | 'missing' | 'never';
  /** Told what happens. If it throws, the pull is cancelled, and rejected with what it threw. */
  onProgress?: (event: PullEvent) => void;
}

/** Which of the images of one reference is meant. */
export interface PlatformOptions extends OperationOptions {
  /** As `linux/arm64`; the host's by default. */
  platform?: string;
}

/** How something is removed. */
export interface RemoveOptions extends OperationOptions {
  force?: boolean;
}

/**
 * The images of a home: `runtime.images`, the same object each time.
 *
 * It does not keep its runtime open. Once that is shut down, closed or garbage, every call answers `Stopped`.
 */
export class Images {
  readonly #handle: Handle<NativeImages>;

  /** @internal */
  constructor(native: NativeImages) {
    this.#handle = new Handle(native, 'the image handle', () => native.checkOpen());
  }

  /**
   * Fetches an image, verifies every byte of it, and makes it ready to run.
   *
   * Aborted, it stops at once, and leaves partial downloads that the next pull resumes.
   */
  pull(reference: string, options?: PullOptions): Pull {
    return pull((tell) => this.#pull(reference, options, tell));
  }

  async #pull(
    reference: string,
    options: PullOptions | undefined,
    tell: (event: PullEvent) => void,
  ): Promise<PulledImage> {
    const { signal, platform, policy, onProgress, ...rest } = object(options, 'pull options');
    nothingElse(rest, 'pull options');
    if (onProgress !== undefined && typeof onProgress !== 'function') {
      throw invalid('onProgress: not a function');
    }
    const request = encode({ platform, policy }, 'pull options');
    const listener = new Listener<PullEvent>((event) => {
      tell(event);
      onProgress?.(event);
    }, signal);
    const pulled = run(listener.signal, (operation) =>
      this.#handle.get().pull(text(reference, 'reference'), request, listener.tell, operation),
    );
    return records.record<PulledImage>(await listener.guard(pulled));
  }

  /** Lists every reference held, by name. */
  async list(options?: OperationOptions): Promise<ImageInfo[]> {
    return records.images(await run(options?.signal, (operation) => this.#handle.get().list(operation)));
  }

  /** Returns what is held under a reference, a digest, or the unambiguous beginning of one. */
  async get(reference: string, options?: PlatformOptions): Promise<ImageInfo> {
    const platform = optionalText(options?.platform, 'platform');
    return records.image(
      await run(options?.signal, (operation) =>
        this.#handle.get().get(text(reference, 'reference'), platform, operation),
      ),
    );
  }

  /** Returns everything known of an image: configuration, layers, history, and all its names. */
  async inspect(reference: string, options?: PlatformOptions): Promise<ImageDetails> {
    const platform = optionalText(options?.platform, 'platform');
    return records.imageDetails(
      await run(options?.signal, (operation) =>
        this.#handle.get().inspect(text(reference, 'reference'), platform, operation),
      ),
    );
  }

  /** Makes `name` name the image that `reference` names; a name that exists is moved. */
  async tag(reference: string, name: string, options?: OperationOptions): Promise<ImageInfo> {
    return records.image(
      await run(options?.signal, (operation) =>
        this.#handle.get().tag(text(reference, 'reference'), text(name, 'name'), operation),
      ),
    );
  }

  /** Removes a name and, with its last one, the image; frees the bytes nobody else needs. */
  async remove(reference: string, options?: RemoveOptions): Promise<RemovedImage> {
    const force = flag(options?.force, 'force');
    return records.record<RemovedImage>(
      await run(options?.signal, (operation) =>
        this.#handle.get().remove(text(reference, 'reference'), force, operation),
      ),
    );
  }

  /** Writes the root filesystem of an image as one self-contained EROFS file. */
  async exportErofs(reference: string, file: string, options?: PlatformOptions): Promise<void> {
    const platform = optionalText(options?.platform, 'platform');
    await run(options?.signal, (operation) =>
      this.#handle.get().exportErofs(text(reference, 'reference'), platform, text(file, 'file'), operation),
    );
  }

  /** Closes the handle, which is that of everybody who uses `runtime.images`: it answers `InvalidState` from now on. */
  close(): void {
    this.#handle.close();
  }
}

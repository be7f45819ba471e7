/**
 * Records: what the library tells, in JavaScript's spelling.
 *
 * Keys are in camelCase, a value that is not there is not there (never `null`), times are ISO 8601, platforms are their
 * text. Words that stand for states, kinds and codes keep their spelling: it is the same in every language.
 */

/** What a finished pull gives back. */
export interface PulledImage {
  /** Full reference that now names the image. */
  reference: string;
  /** Manifest digest for the platform. */
  id: string;
  configDigest: string;
  platform: string;
  layerCount: number;
  /** Whether every blob was held already. */
  cached: boolean;
  /** Bytes this pull itself received from the registry. */
  bytesFetched: number;
}

/** One reference held in the store. */
export interface ImageInfo {
  /** `host/repository:tag`, or `host/repository@digest`. */
  reference: string;
  /** `host/repository`. */
  repository: string;
  /** Tag; empty for a reference by digest. */
  tag: string;
  /** Manifest digest. */
  id: string;
  configDigest: string;
  platform: string;
  /** When this reference was last set. */
  cachedAt: string;
  /** When a pull or a box last used it. */
  lastUsedAt: string;
  /** When the image was built, as it says itself. */
  created?: string;
  /** What a pull of it transfers. */
  sizeBytes: number;
  /** The files of all its layers. */
  unpackedBytes: number;
  layerCount: number;
}

/** Everything known of one image. */
export interface ImageDetails extends ImageInfo {
  /** Every reference that names it. */
  references: string[];
  config: {
    entrypoint: string[];
    command: string[];
    /** `NAME=value`. */
    env: string[];
    workingDir: string;
    user: string;
    stopSignal: string;
    labels: Record<string, string>;
    exposedPorts: string[];
    volumes: string[];
  };
  /** Lowest first. */
  layers: { digest: string; diffId: string; mediaType: string; sizeBytes: number; entries: number }[];
  history: { createdBy: string; emptyLayer: boolean }[];
}

/** What a removal did. */
export interface RemovedImage {
  /** References that no longer name anything. */
  untagged: string[];
  /** Images of which nothing is left. */
  deleted: string[];
  bytesFreed: number;
}

/** What happens during a pull. */
export type PullEvent =
  | { type: 'resolving'; reference: string }
  | { type: 'resolved'; id: string; layerCount: number; totalBytes: number }
  | { type: 'layer_cached'; digest: string }
  | { type: 'layer_downloading'; digest: string; receivedBytes: number; totalBytes: number }
  | { type: 'layer_waiting'; digest: string }
  | { type: 'layer_done'; digest: string }
  | { type: 'retrying'; what: string; attempt: number; delayMs: number; reason: string }
  | { type: 'merging' }
  | { type: 'done'; id: string; cached: boolean; elapsedMs: number };

/** A step of the preparation of a runtime; without a duration it begins. */
export interface PrepareEvent {
  stage: StartStage;
  elapsedUs?: number;
}

/** A step of starting a box. */
export type StartStage = 'kernel' | 'accelerator' | 'template' | 'shim' | 'machine' | 'root';

/** Something that happened in a runtime. */
export type RuntimeEvent =
  | { type: 'pull'; reference: string; event: PullEvent }
  | { type: 'box_created'; id: string }
  | { type: 'box_starting'; id: string; stage: StartStage }
  | { type: 'box_stage'; id: string; stage: StartStage; elapsedUs: number }
  | { type: 'box_started'; id: string; elapsedUs: number }
  | { type: 'box_stopped'; id: string; exitCode?: number }
  | { type: 'box_removed'; id: string }
  | { type: 'exec_started'; id: string; program: string }
  | { type: 'exec_completed'; id: string; status: ExitStatus }
  | { type: 'file_copied_in'; id: string; path: string }
  | { type: 'file_copied_out'; id: string; path: string };

/** How a command ended. */
export interface ExitStatus {
  /** Exit code, if it exited by itself. */
  code?: number;
  /** Signal that ended it otherwise. */
  signal?: number;
  /** Whether the kernel killed it, or a process below it, for lack of memory. */
  oomKilled: boolean;
  /** Whether its timeout ended it. */
  timedOut: boolean;
}

/** How a command ended, with the one number a shell would give. */
export interface ExecutionResult extends ExitStatus {
  /** The exit code, or 128 + the signal. */
  exitCode: number;
  /** Why there is no exit code of its own. */
  errorMessage?: string;
}

/** What in truth isolates a running box. */
export interface IsolationInfo {
  engine: string;
  accelerator: string;
  /** Release of the guest's kernel. */
  kernel: string;
  /** What confines the machine on the host. */
  confinement: string[];
  fromTemplate: boolean;
}

/** One box. */
export interface BoxInfo {
  id: string;
  name?: string;
  /** What it is doing, and the process that supervises it while it runs. */
  state: { status: 'created' | 'starting' | 'running' | 'stopping' | 'stopped'; running: boolean; pid?: number };
  createdAt: string;
  startedAt?: string;
  stoppedAt?: string;
  /** Of its main command, or its machine, after it last stopped. */
  exitCode?: number;
  /** Full reference of its image. */
  image: string;
  /** Manifest digest of its image. */
  imageId: string;
  cpus: number;
  memoryMib: number;
  diskMib: number;
  /** While it runs. */
  isolation?: IsolationInfo;
  /** As it was asked for. */
  spec: BoxSpec;
}

/** A box as it was asked for. */
export interface BoxSpec {
  image: string;
  name?: string;
  platform?: string;
  isolation: string;
  resources: { cpus: number; memoryMib: number; diskMib: number };
  env: string[];
  cwd?: string;
  user?: string;
  hostname?: string;
  entrypoint?: string[];
  main?: {
    argv: string[];
    env: Record<string, string>;
    cwd?: string;
    user?: string;
    tty?: { rows: number; columns: number };
    stdin: boolean;
    timeoutMs?: number;
  };
  detach: boolean;
  autoRemove: boolean;
  labels: string[];
}

/** What a running box uses at this moment. */
export interface BoxMetrics {
  cpuUsec: number;
  memoryUsedBytes: number;
  memoryTotalBytes: number;
  diskUsedBytes: number;
  diskTotalBytes: number;
  processes: number;
  uptimeSecs: number;
  /** Its machine's share of the memory of the host. */
  hostMemoryBytes: number;
}

/** What is at a path of a box. */
export interface FileStat {
  /** Type and permissions. */
  mode: number;
  sizeBytes: number;
  uid: number;
  gid: number;
  /** To the microsecond, as far as a number can say it. */
  modifiedMs: number;
  /** Of a symbolic link. */
  linkTarget?: string;
}

/** A piece of a box's log; pieces end where the command's writes did, not at lines. */
export interface LogEntry {
  /** Nanoseconds since the Unix epoch. */
  atNs: bigint;
  source: 'stdout' | 'stderr';
  bytes: Buffer;
}

/** What a runtime has done since it was opened. */
export interface RuntimeMetrics {
  boxesCreatedTotal: number;
  boxesFailedTotal: number;
  /** Of the home, whoever started them. */
  numRunningBoxes: number;
  totalCommandsExecuted: number;
  totalExecErrors: number;
}

/** Disk space of a home, by what it is used for. */
export interface UsageReport {
  images: number;
  blobBytes: number;
  layerBytes: number;
  partialBytes: number;
  boxes: number;
  boxBytes: number;
  machineBytes: number;
  /** What removing all unused images would give back. */
  reclaimableBytes: number;
}

/** The result of an examination. */
export interface CheckReport {
  examined: number;
  bytesHashed: number;
  /** Empty for a sound home. */
  findings: { kind: string; subject: string; detail: string; repaired: boolean }[];
}

/** Whether boxes can run on this host. */
export interface DoctorReport {
  checks: { name: string; ok: boolean; required: boolean; detail: string; hint?: string }[];
}

/** One guest kernel in the home. */
export interface KernelInfo {
  release: string;
  path: string;
  sizeBytes: number;
  /** Whether boxes run on it when they start. */
  current: boolean;
}

/** Values whose keys are somebody's own words. */
const MAPS = new Set(['labels', 'env']);

function spell(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(spell);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const record: Record<string, unknown> = {};
  for (const [key, part] of Object.entries(value)) {
    if (part !== null) {
      const name = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
      record[name] = MAPS.has(key) && !Array.isArray(part) ? part : key === 'platform' ? platform(part) : spell(part);
    }
  }
  return record;
}

function platform(value: { os: string; architecture: string; variant?: string }): string {
  const { os, architecture, variant } = value;
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

function time(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/** Reads a record that only has to be spelt. */
export function record<T>(text: string): T {
  return spell(JSON.parse(text)) as T;
}

type Raw<T, Times extends keyof T> = Omit<T, Times> & { [Key in keyof Pick<T, Times>]: number };

function imageInfo<T extends ImageInfo>(raw: Raw<T, 'cachedAt' | 'lastUsedAt'>): T {
  return { ...raw, cachedAt: time(raw.cachedAt), lastUsedAt: time(raw.lastUsedAt) } as unknown as T;
}

/** Reads what is held under one reference. */
export function image(text: string): ImageInfo {
  return imageInfo<ImageInfo>(record(text));
}

/** Reads what is held. */
export function images(text: string): ImageInfo[] {
  return record<Raw<ImageInfo, 'cachedAt' | 'lastUsedAt'>[]>(text).map((raw) => imageInfo<ImageInfo>(raw));
}

/** Reads everything known of an image. */
export function imageDetails(text: string): ImageDetails {
  const details = imageInfo<ImageDetails>(record(text));
  const history = details.history as unknown as [string, boolean][];
  return { ...details, history: history.map(([createdBy, emptyLayer]) => ({ createdBy, emptyLayer })) };
}

type RawBox = Omit<BoxInfo, 'state' | 'createdAt' | 'startedAt' | 'stoppedAt'> & {
  state: BoxInfo['state']['status'];
  pid?: number;
  createdAt: number;
  startedAt?: number;
  stoppedAt?: number;
};

function boxInfo(raw: RawBox): BoxInfo {
  const { state: status, pid, createdAt, startedAt, stoppedAt, ...rest } = raw;
  return {
    ...rest,
    state: { status, running: status === 'running', ...(pid === undefined ? {} : { pid }) },
    createdAt: time(createdAt),
    ...(startedAt === undefined ? {} : { startedAt: time(startedAt) }),
    ...(stoppedAt === undefined ? {} : { stoppedAt: time(stoppedAt) }),
    ...raw.spec.resources,
  };
}

/** Reads what is known of one box. */
export function box(text: string): BoxInfo {
  return boxInfo(record(text));
}

/** Reads what is known of all boxes. */
export function boxes(text: string): BoxInfo[] {
  return record<RawBox[]>(text).map(boxInfo);
}

/** Reads what is at a path. */
export function fileStat(text: string): FileStat {
  const { modifiedNs, linkTarget, ...rest } = record<
    Omit<FileStat, 'modifiedMs' | 'linkTarget'> & { modifiedNs: number; linkTarget?: number[] }
  >(text);
  const target = linkTarget === undefined ? {} : { linkTarget: Buffer.from(linkTarget).toString() };
  return { ...rest, modifiedMs: modifiedNs / 1e6, ...target };
}

/** Reads how a command ended. */
export function exitStatus(text: string): ExecutionResult {
  const status = record<ExitStatus>(text);
  const result: ExecutionResult = { exitCode: status.code ?? 128 + (status.signal ?? 0), ...status };
  if (status.timedOut) {
    result.errorMessage = 'it did not end within its timeout';
  } else if (status.oomKilled) {
    result.errorMessage = 'the kernel killed it for lack of memory';
  } else if (status.signal !== undefined) {
    result.errorMessage = `signal ${status.signal} ended it`;
  }
  return result;
}

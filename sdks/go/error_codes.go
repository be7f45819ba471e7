// Code generated from api/errors.toml by `make gen`; DO NOT EDIT.

package boxlite

import "errors"

// ErrorCode is the kind of a failure. It is an error itself, for errors.Is:
//
//	if errors.Is(err, boxlite.ErrStopped) { ... }
//
// Names and numbers are the same in every language; a number never changes its meaning.
type ErrorCode int32

const (
	// ErrInternal: a defect in BoxLite itself.
	ErrInternal ErrorCode = 1
	// ErrNotFound: the named thing does not exist.
	ErrNotFound ErrorCode = 2
	// ErrAlreadyExists: a thing of that name exists already.
	ErrAlreadyExists ErrorCode = 3
	// ErrInvalidState: the thing exists, but cannot do this in the state it is in.
	ErrInvalidState ErrorCode = 4
	// ErrInvalidArgument: the input is malformed or out of range.
	ErrInvalidArgument ErrorCode = 5
	// ErrConfig: a configuration file or setting cannot be used.
	ErrConfig ErrorCode = 6
	// ErrStorage: reading or writing the home directory failed.
	ErrStorage ErrorCode = 7
	// ErrImage: the image is malformed, or uses something that cannot be supported safely.
	ErrImage ErrorCode = 8
	// ErrNetwork: the other side could not be reached, or broke the conversation off.
	ErrNetwork ErrorCode = 9
	// ErrExecution: a command could not be started in the box.
	ErrExecution ErrorCode = 10
	// ErrStopped: the runtime was shut down, or the box was stopped.
	ErrStopped ErrorCode = 11
	// ErrEngine: the isolation engine failed.
	ErrEngine ErrorCode = 12
	// ErrUnsupported: this host, engine or build cannot do what was asked.
	ErrUnsupported ErrorCode = 13
	// ErrDatabase: the state database refused a transaction.
	ErrDatabase ErrorCode = 14
	// ErrResourceExhausted: a limit on memory, processes, files or size was reached.
	ErrResourceExhausted ErrorCode = 20
	// ErrCancelled: the caller cancelled the operation, and it was rolled back.
	ErrCancelled ErrorCode = 32
	// ErrTimeout: the operation did not finish within its deadline, and was rolled back.
	ErrTimeout ErrorCode = 33
	// ErrUnauthorized: the registry wants credentials, or refuses the ones it was given.
	ErrUnauthorized ErrorCode = 34
	// ErrDigestMismatch: bytes are not what their digest, size or DiffID promises.
	ErrDigestMismatch ErrorCode = 35
	// ErrPlatformMismatch: the image does not exist for the platform asked for.
	ErrPlatformMismatch ErrorCode = 36
	// ErrInUse: something else still needs the thing that was to be changed.
	ErrInUse ErrorCode = 37
	// ErrNoSpace: the disk is full, or would be.
	ErrNoSpace ErrorCode = 38
	// ErrRateLimited: the registry asks to wait.
	ErrRateLimited ErrorCode = 39
	// ErrInvalidHandle: the handle was freed, is of another kind, or never existed.
	ErrInvalidHandle ErrorCode = 40
	// ErrForkedProcess: the runtime was opened before a fork, and cannot be used in the child.
	ErrForkedProcess ErrorCode = 41
)

var errorCodeNames = map[ErrorCode]string{
	ErrInternal:          "Internal",
	ErrNotFound:          "NotFound",
	ErrAlreadyExists:     "AlreadyExists",
	ErrInvalidState:      "InvalidState",
	ErrInvalidArgument:   "InvalidArgument",
	ErrConfig:            "Config",
	ErrStorage:           "Storage",
	ErrImage:             "Image",
	ErrNetwork:           "Network",
	ErrExecution:         "Execution",
	ErrStopped:           "Stopped",
	ErrEngine:            "Engine",
	ErrUnsupported:       "Unsupported",
	ErrDatabase:          "Database",
	ErrResourceExhausted: "ResourceExhausted",
	ErrCancelled:         "Cancelled",
	ErrTimeout:           "Timeout",
	ErrUnauthorized:      "Unauthorized",
	ErrDigestMismatch:    "DigestMismatch",
	ErrPlatformMismatch:  "PlatformMismatch",
	ErrInUse:             "InUse",
	ErrNoSpace:           "NoSpace",
	ErrRateLimited:       "RateLimited",
	ErrInvalidHandle:     "InvalidHandle",
	ErrForkedProcess:     "ForkedProcess",
}

// IsInternal reports whether err says: a defect in BoxLite itself.
func IsInternal(err error) bool { return errors.Is(err, ErrInternal) }

// IsNotFound reports whether err says: the named thing does not exist.
func IsNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// IsAlreadyExists reports whether err says: a thing of that name exists already.
func IsAlreadyExists(err error) bool { return errors.Is(err, ErrAlreadyExists) }

// IsInvalidState reports whether err says: the thing exists, but cannot do this in the state it is in.
func IsInvalidState(err error) bool { return errors.Is(err, ErrInvalidState) }

// IsInvalidArgument reports whether err says: the input is malformed or out of range.
func IsInvalidArgument(err error) bool { return errors.Is(err, ErrInvalidArgument) }

// IsConfig reports whether err says: a configuration file or setting cannot be used.
func IsConfig(err error) bool { return errors.Is(err, ErrConfig) }

// IsStorage reports whether err says: reading or writing the home directory failed.
func IsStorage(err error) bool { return errors.Is(err, ErrStorage) }

// IsImage reports whether err says: the image is malformed, or uses something that cannot be supported safely.
func IsImage(err error) bool { return errors.Is(err, ErrImage) }

// IsNetwork reports whether err says: the other side could not be reached, or broke the conversation off.
func IsNetwork(err error) bool { return errors.Is(err, ErrNetwork) }

// IsExecution reports whether err says: a command could not be started in the box.
func IsExecution(err error) bool { return errors.Is(err, ErrExecution) }

// IsStopped reports whether err says: the runtime was shut down, or the box was stopped.
func IsStopped(err error) bool { return errors.Is(err, ErrStopped) }

// IsEngine reports whether err says: the isolation engine failed.
func IsEngine(err error) bool { return errors.Is(err, ErrEngine) }

// IsUnsupported reports whether err says: this host, engine or build cannot do what was asked.
func IsUnsupported(err error) bool { return errors.Is(err, ErrUnsupported) }

// IsDatabase reports whether err says: the state database refused a transaction.
func IsDatabase(err error) bool { return errors.Is(err, ErrDatabase) }

// IsResourceExhausted reports whether err says: a limit on memory, processes, files or size was reached.
func IsResourceExhausted(err error) bool { return errors.Is(err, ErrResourceExhausted) }

// IsCancelled reports whether err says: the caller cancelled the operation, and it was rolled back.
func IsCancelled(err error) bool { return errors.Is(err, ErrCancelled) }

// IsTimeout reports whether err says: the operation did not finish within its deadline, and was rolled back.
func IsTimeout(err error) bool { return errors.Is(err, ErrTimeout) }

// IsUnauthorized reports whether err says: the registry wants credentials, or refuses the ones it was given.
func IsUnauthorized(err error) bool { return errors.Is(err, ErrUnauthorized) }

// IsDigestMismatch reports whether err says: bytes are not what their digest, size or DiffID promises.
func IsDigestMismatch(err error) bool { return errors.Is(err, ErrDigestMismatch) }

// IsPlatformMismatch reports whether err says: the image does not exist for the platform asked for.
func IsPlatformMismatch(err error) bool { return errors.Is(err, ErrPlatformMismatch) }

// IsInUse reports whether err says: something else still needs the thing that was to be changed.
func IsInUse(err error) bool { return errors.Is(err, ErrInUse) }

// IsNoSpace reports whether err says: the disk is full, or would be.
func IsNoSpace(err error) bool { return errors.Is(err, ErrNoSpace) }

// IsRateLimited reports whether err says: the registry asks to wait.
func IsRateLimited(err error) bool { return errors.Is(err, ErrRateLimited) }

// IsInvalidHandle reports whether err says: the handle was freed, is of another kind, or never existed.
func IsInvalidHandle(err error) bool { return errors.Is(err, ErrInvalidHandle) }

// IsForkedProcess reports whether err says: the runtime was opened before a fork, and cannot be used in the child.
func IsForkedProcess(err error) bool { return errors.Is(err, ErrForkedProcess) }

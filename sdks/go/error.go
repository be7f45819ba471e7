package boxlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Error is every failure of this package: data first, prose second.
//
//	var failure *boxlite.Error
//	if errors.As(err, &failure) && failure.Retryable { ... }
type Error struct {
	// Code says what kind of failure it is; errors.Is compares with it.
	Code ErrorCode
	// Message is one line that says what failed, and on what.
	Message string
	// Operation names what failed, as `images.pull`; empty where it is not known.
	Operation string
	// Context is what the error happened to, under the keys reference, digest, registry, path, box, entry, platform and
	// status.
	Context map[string]string
	// Retryable tells whether the same call may succeed later without the caller changing anything.
	Retryable bool
	// Hint is what to do about it, as one line; empty where there is nothing to say.
	Hint string
	// Source is the underlying failure, if there is one.
	Source error

	// cause is the end of the caller's own context, if that is why the operation ended.
	cause error
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Is reports whether target is the error's code.
func (e *Error) Is(target error) bool {
	code, ok := target.(ErrorCode)
	return ok && code == e.Code
}

// Unwrap returns the underlying failure, and context.Canceled or context.DeadlineExceeded if the context of the call ended
// it.
func (e *Error) Unwrap() []error {
	var inner []error
	for _, err := range []error{e.cause, e.Source} {
		if err != nil {
			inner = append(inner, err)
		}
	}
	return inner
}

// Error returns the name of the code, which is the same in every language.
func (c ErrorCode) Error() string { return c.String() }

// String returns the name of the code, as `NotFound`.
func (c ErrorCode) String() string {
	if name, ok := errorCodeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("ErrorCode(%d)", int32(c))
}

// decodeError reads an error as the library writes it.
func decodeError(code ErrorCode, encoded []byte) *Error {
	var wire struct {
		Message   string            `json:"message"`
		Operation string            `json:"operation"`
		Context   map[string]string `json:"context"`
		Retryable bool              `json:"retryable"`
		Hint      string            `json:"hint"`
		Source    string            `json:"source"`
	}
	if err := json.Unmarshal(encoded, &wire); err != nil {
		return &Error{Code: code, Message: "the library gave an error that cannot be read", Source: err}
	}
	failure := &Error{
		Code: code, Message: wire.Message, Operation: wire.Operation, Context: wire.Context,
		Retryable: wire.Retryable, Hint: wire.Hint,
	}
	if wire.Source != "" {
		failure.Source = errors.New(wire.Source)
	}
	return failure
}

// endedBy says in an error that the caller's context was the reason for it.
func endedBy(ctx context.Context, failure error) error {
	reason := ctx.Err()
	told, ok := failure.(*Error)
	if reason == nil || !ok || told.Code != ErrCancelled {
		return failure
	}
	told.cause = reason
	if errors.Is(reason, context.DeadlineExceeded) {
		told.Code = ErrTimeout
		told.Message = "the operation did not finish within its deadline"
		told.Retryable = false
	}
	return told
}

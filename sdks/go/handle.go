package boxlite

import (
	"context"
	"os"
	"runtime"
	"sync"
)

// handle is what all handles have in common: the runtime they belong to, and whether they were closed.
//
// It is embedded by value, so that whoever holds it holds the whole object: as long as a call of it runs, the object is not
// collected, and its native handle not freed.
type handle struct {
	native *native
	noun   string

	mutex   sync.Mutex
	closed  bool
	closing chan struct{}
}

func newHandle(n *native, noun string) handle {
	return handle{native: n, noun: noun, closing: make(chan struct{})}
}

// close frees the native handle, the first time.
func (h *handle) close(free func()) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if !h.closed {
		h.closed = true
		close(h.closing)
		free()
	}
	return nil
}

func (h *handle) isClosed() bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.closed
}

// usable refuses what the library need not be asked about. A dead runtime comes before a closed handle.
func (h *handle) usable(operation string) error {
	if h.native.isStopping() {
		return stopped(operation)
	}
	if h.isClosed() {
		return h.closedError(operation)
	}
	return nil
}

func (h *handle) closedError(operation string) *Error {
	return &Error{Code: ErrInvalidState, Message: h.noun + " is closed", Operation: operation, Source: os.ErrClosed}
}

// explain says of a handle that another goroutine closed just now that it is closed: the library did not know it any more,
// or what waited was cancelled by the closing.
func (h *handle) explain(err error, operation string) error {
	failure, ok := err.(*Error)
	if !ok || !h.isClosed() {
		return err
	}
	if failure.Code == ErrInvalidHandle || failure.Code == ErrCancelled && failure.cause == nil {
		return h.closedError(operation)
	}
	return err
}

// call carries out one operation on the handle, and takes what it gives.
func (h *handle) call(ctx context.Context, name string, begin begin, finish finish) error {
	defer runtime.KeepAlive(h)
	if err := h.usable(name); err != nil {
		return err
	}
	return h.explain(h.native.call(ctx, name, begin, finish), name)
}

// callJSON carries out one operation on the handle, and reads what it gives into a value.
func (h *handle) callJSON(ctx context.Context, name string, into any, begin begin) error {
	return h.watchedCallJSON(ctx, name, into, begin, nil)
}

// next carries out an operation that waits for something to come, and is over when the handle is closed.
func (h *handle) next(ctx context.Context, name string, into any, begin begin) error {
	return h.watchedCallJSON(ctx, name, into, begin, untilClosed(ctx, h.closing))
}

func (h *handle) watchedCallJSON(ctx context.Context, name string, into any, begin begin, watch func(operation) error) error {
	defer runtime.KeepAlive(h)
	if err := h.usable(name); err != nil {
		return err
	}
	return h.explain(h.native.watchedCallJSON(ctx, name, into, begin, watch), name)
}

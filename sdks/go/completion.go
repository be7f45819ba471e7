package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"syscall"
)

// native is one runtime of the library, and everything that waits for it: what all handles of a runtime share. Handles
// hold it, and not the Runtime, so that a Runtime nobody holds any more is shut down however many handles are left.
//
// Every call becomes an operation of the library that is bound to one completion queue. The queue has a descriptor that
// the poller of Go's own runtime watches, so that neither the goroutine that drains it nor any call blocks a thread.
type native struct {
	queue  *C.boxlite_queue
	signal *os.File

	mutex   sync.Mutex
	runtime *C.boxlite_runtime
	lastTag uint64
	waiting map[uint64]chan struct{}
	// stopping refuses new calls, from the first request to shut down on.
	stopping bool
	// calls are those under way, without the requests to shut down.
	calls int
	idle  chan struct{}
	// requests are those to shut down that are under way.
	requests int
	// closed says that the home has been let go of, with this outcome.
	closed  bool
	outcome error
	// ended is closed when closed is set.
	ended chan struct{}
}

// begin starts an operation: the call of a C function up to its two last arguments.
type begin func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status

// newNative makes a queue, and begins to drain it.
func newNative() (*native, error) {
	n := &native{waiting: map[uint64]chan struct{}{}, ended: make(chan struct{})}
	var failure *C.boxlite_error
	if C.boxlite_queue_new(&n.queue, &failure) != C.BOXLITE_OK {
		return nil, takeError(failure)
	}
	var descriptor C.int32_t
	if C.boxlite_queue_fd(n.queue, &descriptor, &failure) != C.BOXLITE_OK {
		C.boxlite_queue_free(n.queue)
		return nil, takeError(failure)
	}
	// The queue keeps its own descriptor; this one belongs to Go's poller.
	syscall.ForkLock.RLock()
	own, err := syscall.Dup(int(descriptor))
	if err == nil {
		syscall.CloseOnExec(own)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		C.boxlite_queue_free(n.queue)
		return nil, &Error{Code: ErrResourceExhausted, Message: "cannot duplicate a descriptor: " + err.Error(), Source: err}
	}
	n.signal = os.NewFile(uintptr(own), "boxlite completions")
	connection, err := n.signal.SyscallConn()
	if err != nil {
		n.signal.Close()
		C.boxlite_queue_free(n.queue)
		return nil, &Error{Code: ErrInternal, Message: "a descriptor cannot be watched: " + err.Error(), Source: err}
	}
	go n.drain(connection)
	return n, nil
}

// drain delivers completions until the descriptor is closed, and frees the queue then.
func (n *native) drain(connection syscall.RawConn) {
	completion := new(C.boxlite_completion)
	completion.size = C.sizeof_boxlite_completion
	_ = connection.Read(func(uintptr) bool {
		for C.boxlite_queue_next(n.queue, 0, completion, nil) == C.BOXLITE_OK {
			n.deliver(uint64(completion.user_data))
		}
		// Nothing is left: wait until the descriptor is readable again.
		return false
	})
	C.boxlite_queue_free(n.queue)
}

func (n *native) deliver(tag uint64) {
	n.mutex.Lock()
	done := n.waiting[tag]
	delete(n.waiting, tag)
	n.mutex.Unlock()
	if done != nil {
		close(done)
	}
}

// enter counts a call in, or refuses it.
func (n *native) enter(operation string) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.stopping {
		return stopped(operation)
	}
	n.calls++
	return nil
}

// leave counts a call out.
func (n *native) leave() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.calls--
	if n.calls == 0 && n.idle != nil {
		close(n.idle)
		n.idle = nil
	}
	n.tearDown()
}

// tearDown ends the draining once nobody can wait for a completion any more. The mutex is held.
func (n *native) tearDown() {
	if n.closed && n.calls == 0 && n.requests == 0 && n.signal != nil {
		n.signal.Close()
		n.signal = nil
	}
}

// isStopping tells whether the runtime is, or is being, shut down.
func (n *native) isStopping() bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.stopping
}

// operation is one that was begun, and has to be freed.
type operation struct {
	handle *C.boxlite_operation
	done   chan struct{}
}

// start begins an operation whose end closes its channel.
func (n *native) start(begin begin) (operation, error) {
	var started operation
	var failure *C.boxlite_error
	if begin(&started.handle, &failure) != C.BOXLITE_OK {
		return started, takeError(failure)
	}
	started.done = make(chan struct{})
	n.mutex.Lock()
	n.lastTag++
	tag := n.lastTag
	n.waiting[tag] = started.done
	n.mutex.Unlock()
	if C.boxlite_operation_bind(started.handle, n.queue, C.uint64_t(tag), &failure) != C.BOXLITE_OK {
		n.deliver(tag)
		started.free()
		return started, takeError(failure)
	}
	return started, nil
}

func (o operation) cancel() { C.boxlite_operation_cancel(o.handle, nil) }
func (o operation) free()   { C.boxlite_operation_free(o.handle) }

// wait waits for the end of an operation. When the context ends before, the operation is cancelled, and its end is waited
// for all the same: when this returns, no work goes on.
func (o operation) wait(ctx context.Context) {
	select {
	case <-o.done:
	case <-ctx.Done():
		o.cancel()
		<-o.done
	}
}

// finish is what is done with an operation that has ended: it reads the result, or the error the operation ended with.
type finish func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status

// call carries out one operation from beginning to end.
func (n *native) call(ctx context.Context, name string, begin begin, finish finish) error {
	return n.watchedCall(ctx, name, begin, nil, finish)
}

// watchedCall is call, with something to do while the operation goes on, which ends when the operation does.
func (n *native) watchedCall(ctx context.Context, name string, begin begin, watch func(operation) error, finish finish) error {
	if ctx.Err() != nil {
		return cancelled(ctx, name)
	}
	if err := n.enter(name); err != nil {
		return err
	}
	defer n.leave()
	started, err := n.start(begin)
	if err != nil {
		return n.explain(err, name)
	}
	defer started.free()
	if watch != nil {
		stop := context.AfterFunc(ctx, started.cancel)
		err := watch(started)
		stop()
		if err != nil {
			started.cancel()
			<-started.done
			return err
		}
	}
	started.wait(ctx)
	var failure *C.boxlite_error
	if finish(started.handle, &failure) != C.BOXLITE_OK {
		return endedBy(ctx, n.explain(takeError(failure), name))
	}
	return nil
}

// untilClosed watches an operation that is also to be cancelled when a channel is closed.
func untilClosed(ctx context.Context, closing <-chan struct{}) func(operation) error {
	return func(started operation) error {
		select {
		case <-started.done:
		case <-ctx.Done():
		case <-closing:
			started.cancel()
		}
		return nil
	}
}

// callJSON carries out one operation, and reads what it gives into a value.
func (n *native) callJSON(ctx context.Context, name string, into any, begin begin) error {
	return n.watchedCallJSON(ctx, name, into, begin, nil)
}

func (n *native) watchedCallJSON(ctx context.Context, name string, into any, begin begin, watch func(operation) error) error {
	var decoding error
	err := n.watchedCall(ctx, name, begin, watch, func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		var text *C.char
		status := C.boxlite_operation_json(operation, &text, failure)
		if status == C.BOXLITE_OK && into != nil {
			decoding = json.Unmarshal(borrowText(text), into)
		}
		return status
	})
	if err == nil && decoding != nil {
		return &Error{Code: ErrInternal, Message: "the library gave a result that cannot be read", Operation: name, Source: decoding}
	}
	return err
}

// explain adds what the library cannot know: that a handle is stale because its runtime was shut down.
func (n *native) explain(err error, name string) error {
	var failure *Error
	if !errors.As(err, &failure) {
		return err
	}
	if failure.Code == ErrInvalidHandle && n.isStopping() {
		return stopped(name)
	}
	if failure.Operation == "" {
		failure.Operation = name
	}
	return err
}

// cancelled is the error of a call that its context ended before the library knew of it.
func cancelled(ctx context.Context, operation string) error {
	return endedBy(ctx, &Error{Code: ErrCancelled, Message: "the operation was cancelled", Operation: operation})
}

func stopped(operation string) *Error {
	return &Error{Code: ErrStopped, Message: "the runtime has been shut down", Operation: operation}
}

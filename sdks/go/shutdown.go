package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"errors"
	"time"
)

// shutdownGrace is what a shutdown may take beyond its timeout.
const shutdownGrace = 250 * time.Millisecond

// shutdown stops everything, and lets go of the home. It may be called any number of times: all get the same answer.
func (n *native) shutdown(ctx context.Context, timeout time.Duration) error {
	n.mutex.Lock()
	n.stopping = true
	if n.closed {
		defer n.mutex.Unlock()
		return n.outcome
	}
	n.requests++
	n.mutex.Unlock()
	defer func() {
		n.mutex.Lock()
		defer n.mutex.Unlock()
		n.requests--
		n.tearDown()
	}()
	deadline := time.Now().Add(timeout + shutdownGrace)
	outcome := n.requestShutdown(ctx, timeout)
	n.waitForCalls(ctx, deadline)
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if !n.closed {
		n.closed, n.outcome = true, outcome
		C.boxlite_runtime_free(n.runtime)
		close(n.ended)
	}
	return n.outcome
}

// requestShutdown waits for the library. Cancelling the context does not call a shutdown off: it makes it hurry. A deadline
// that passes does not: the library knows it, and keeps it itself.
func (n *native) requestShutdown(ctx context.Context, timeout time.Duration) error {
	begin := func(timeout time.Duration) (operation, error) {
		return n.start(func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_runtime_shutdown(n.runtime, C.uint64_t(max(timeout.Milliseconds(), 0)), operation, failure)
		})
	}
	request, err := begin(timeout)
	if err != nil {
		return err
	}
	defer request.free()
	select {
	case <-request.done:
	case <-ctx.Done():
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			if hurry, err := begin(0); err == nil {
				<-hurry.done
				hurry.free()
			}
		}
		<-request.done
	}
	var failure *C.boxlite_error
	if C.boxlite_operation_wait(request.handle, 0, &failure) != C.BOXLITE_OK {
		return takeError(failure)
	}
	return nil
}

// waitForCalls waits until every call has returned to its caller. The library has settled them all; what may take longer
// is a callback of the program, which gets no more than the grace once the context has ended.
func (n *native) waitForCalls(ctx context.Context, deadline time.Time) {
	n.mutex.Lock()
	if n.calls == 0 {
		n.mutex.Unlock()
		return
	}
	if n.idle == nil {
		n.idle = make(chan struct{})
	}
	idle := n.idle
	n.mutex.Unlock()
	patience := time.NewTimer(time.Until(deadline))
	defer patience.Stop()
	select {
	case <-idle:
		return
	case <-patience.C:
		return
	case <-ctx.Done():
	}
	patience.Reset(min(time.Until(deadline), shutdownGrace))
	select {
	case <-idle:
	case <-patience.C:
	}
}

// abandon ends what no runtime was opened for.
func (n *native) abandon() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.stopping, n.closed = true, true
	close(n.ended)
	n.tearDown()
}

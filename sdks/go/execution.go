package boxlite

/*
#include "library.h"
*/
import "C"

import (
	"context"
	"runtime"
	"sync"
	"unsafe"
)

// Execution is a command that runs in a box. It may be used by any number of goroutines.
//
// When it and its streams are closed, or collected as garbage, before the command has ended, the command and everything it
// started is killed; the main command of a box and a detached one are not, they are only let go of.
type Execution struct {
	handle
	pointer *C.boxlite_execution
	id      string
	boxID   string
	pid     int

	streams        sync.Mutex
	stdin          *InputStream
	stdout, stderr *OutputStream
}

// ExecResult is everything a command printed, and how it ended.
type ExecResult struct {
	// ExitCode is the one number a shell would give: the exit code, or 128 + the signal.
	ExitCode int
	// Stdout and Stderr are the bytes as they came; of a command with a terminal, all are in Stdout.
	Stdout string
	Stderr string
	// Status says how it ended.
	Status ExitStatus
}

// Exec runs a command to its end, and returns what it printed. That it did not succeed is no error: the result tells. When
// the context ends before, the command is killed, and has ended when this returns.
//
// It fails with ErrInvalidState if the box does not run, ErrNotFound if there is no such program in the box, ErrExecution if
// it cannot be run.
func (b *Box) Exec(ctx context.Context, name string, arguments ...string) (*ExecResult, error) {
	execution, err := b.StartExecution(ctx, name, arguments)
	if err != nil {
		return nil, err
	}
	defer execution.Close()
	result, err := execution.Output(ctx)
	if err != nil {
		// The error that counts is that of the output.
		_ = execution.Kill(context.WithoutCancel(ctx))
		return nil, err
	}
	return result, nil
}

// StartExecution runs a command, and returns when it has begun; if the context ends before, it is killed.
func (b *Box) StartExecution(ctx context.Context, name string, arguments []string, options ...ExecOption) (*Execution, error) {
	spec := ExecSpec{}
	for _, option := range options {
		option.applyExec(&spec)
	}
	spec.Argv = append([]string{name}, arguments...)
	how, err := spec.native()
	if err != nil {
		return nil, err
	}
	defer C.boxlite_exec_options_free(how)
	return b.takeExecution(ctx, "box.exec",
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_exec(b.pointer, nil, 0, how, operation, failure)
		})
}

// StartAttached starts the box as Start does, attached to its main command from its first byte of output on.
//
// It fails with ErrInvalidState if the box has no main command; it is not started then.
func (b *Box) StartAttached(ctx context.Context) (*Execution, error) {
	return b.takeExecution(ctx, "box.start",
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_start_attached(b.pointer, operation, failure)
		})
}

// Attach attaches to the main command: what it prints from now on comes here as well as into the log.
//
// It fails with ErrNotFound if the box has no main command, ErrInUse if somebody is attached.
func (b *Box) Attach(ctx context.Context) (*Execution, error) {
	return b.takeExecution(ctx, "box.attach",
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_box_attach(b.pointer, operation, failure)
		})
}

func (b *Box) takeExecution(ctx context.Context, name string, begin begin) (*Execution, error) {
	var pointer *C.boxlite_execution
	var begun struct {
		ID, Box string
		PID     int
	}
	err := b.call(ctx, name, begin, func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		if status := describe(operation, &begun, failure); status != C.BOXLITE_OK {
			return status
		}
		return C.boxlite_operation_take_execution(operation, &pointer, failure)
	})
	if err != nil {
		return nil, err
	}
	execution := &Execution{
		handle: newHandle(b.native, "execution handle"), pointer: pointer,
		id: begun.ID, boxID: begun.Box, pid: begun.PID,
	}
	runtime.AddCleanup(execution, func(pointer *C.boxlite_execution) { C.boxlite_execution_free(pointer) }, pointer)
	return execution, nil
}

// native makes the options object of the library.
func (s ExecSpec) native() (*C.boxlite_exec_options, error) {
	text, err := jsonText(s)
	if err != nil {
		return nil, err
	}
	var options *C.boxlite_exec_options
	if err := check(func(failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_exec_options_new(&options, failure)
	}); err != nil {
		return nil, err
	}
	if err := check(func(failure **C.boxlite_error) C.boxlite_status {
		return C.boxlite_exec_options_set_json(options, text.pointer(), failure)
	}); err != nil {
		C.boxlite_exec_options_free(options)
		return nil, err
	}
	return options, nil
}

// ID returns the id of the execution, unique among those of its box that run.
func (e *Execution) ID() string { return e.id }

// BoxID returns the id of the box it runs in.
func (e *Execution) BoxID() string { return e.boxID }

// PID returns the process id inside the box.
func (e *Execution) PID() int { return e.pid }

// Stdin returns the stdin of the command, if it was asked for; writing fails with ErrInvalidState otherwise. Until it is
// asked for here it stays open.
func (e *Execution) Stdin() *InputStream {
	e.streams.Lock()
	defer e.streams.Unlock()
	if e.stdin == nil {
		var pointer *C.boxlite_writer
		err := e.take("execution.stdin", func(failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_execution_take_stdin(e.pointer, &pointer, failure)
		})
		e.stdin = newInputStream(e.native, "stdin", pointer)
		e.stdin.refused = err
	}
	return e.stdin
}

// Stdout returns the stdout of the command, or its terminal. Once it was asked for it has to be read, or closed, for the
// command to come to its end.
func (e *Execution) Stdout() *OutputStream {
	e.streams.Lock()
	defer e.streams.Unlock()
	if e.stdout == nil {
		var pointer *C.boxlite_reader
		err := e.take("execution.stdout", func(failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_execution_take_stdout(e.pointer, &pointer, failure)
		})
		e.stdout = newOutputStream(e.native, "stdout", pointer)
		e.stdout.refused = err
	}
	return e.stdout
}

// Stderr returns the stderr of the command, which is empty if it has a terminal. Once it was asked for it has to be read, or
// closed, for the command to come to its end.
func (e *Execution) Stderr() *OutputStream {
	e.streams.Lock()
	defer e.streams.Unlock()
	if e.stderr == nil {
		var pointer *C.boxlite_reader
		err := e.take("execution.stderr", func(failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_execution_take_stderr(e.pointer, &pointer, failure)
		})
		e.stderr = newOutputStream(e.native, "stderr", pointer)
		e.stderr.refused = err
	}
	return e.stderr
}

func (e *Execution) take(name string, take func(failure **C.boxlite_error) C.boxlite_status) error {
	defer runtime.KeepAlive(e)
	if err := e.usable(name); err != nil {
		return err
	}
	if err := check(take); err != nil {
		return e.explain(e.native.explain(err, name), name)
	}
	return nil
}

// Wait waits for the end of the command, and may be called again. Output that nobody asked for by now is thrown away.
//
// It fails with ErrStopped if the box or the runtime stops first.
func (e *Execution) Wait(ctx context.Context) (ExitStatus, error) {
	var status ExitStatus
	err := e.callJSON(ctx, "execution.wait", &status,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_execution_wait(e.pointer, operation, failure)
		})
	return status, err
}

// Output closes stdin, collects everything the command prints, and waits for its end. It is for executions whose stdout and
// stderr nobody asked for.
func (e *Execution) Output(ctx context.Context) (*ExecResult, error) {
	e.streams.Lock()
	stdin := e.stdin
	e.streams.Unlock()
	if stdin != nil {
		stdin.Close()
	}
	var result ExecResult
	take := func(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
		return result.read(operation, failure)
	}
	err := e.call(ctx, "execution.output",
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_execution_output(e.pointer, operation, failure)
		}, take)
	if err != nil {
		return nil, err
	}
	return &result, nil
}

// read copies the bytes straight out of the library's memory.
func (r *ExecResult) read(operation *C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
	var result *C.boxlite_result
	if status := C.boxlite_operation_take_result(operation, &result, failure); status != C.BOXLITE_OK {
		return status
	}
	defer C.boxlite_result_free(result)
	output := C.boxlite_output{size: C.sizeof_boxlite_output}
	if status := C.boxlite_result_output(result, &output, failure); status != C.BOXLITE_OK {
		return status
	}
	ended := C.boxlite_exit_status{size: C.sizeof_boxlite_exit_status}
	if status := C.boxlite_result_exit_status(result, &ended, failure); status != C.BOXLITE_OK {
		return status
	}
	text := func(start *C.uint8_t, length C.size_t) string {
		return string(unsafe.Slice((*byte)(unsafe.Pointer(start)), int(length)))
	}
	r.Stdout = text(output.stdout_bytes, output.stdout_length)
	r.Stderr = text(output.stderr_bytes, output.stderr_length)
	r.Status = ExitStatus{OOMKilled: ended.oom_killed != 0, TimedOut: ended.timed_out != 0}
	if signal := int(ended.signal); signal != 0 {
		r.Status.Signal = &signal
	} else {
		code := int(ended.code)
		r.Status.Code = &code
	}
	r.ExitCode = r.Status.ExitCode()
	return C.BOXLITE_OK
}

// Signal sends a signal, by its number on Linux, to the process group of the command; one that has ended is left alone.
func (e *Execution) Signal(ctx context.Context, signal int) error {
	return e.callJSON(ctx, "execution.signal", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_execution_signal(e.pointer, C.int32_t(signal), operation, failure)
		})
}

// Kill kills the whole process tree, whatever groups and sessions it made.
func (e *Execution) Kill(ctx context.Context) error {
	return e.callJSON(ctx, "execution.kill", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_execution_kill(e.pointer, operation, failure)
		})
}

// Resize changes the size of the terminal.
func (e *Execution) Resize(ctx context.Context, size TerminalSize) error {
	return e.callJSON(ctx, "execution.resize", nil,
		func(operation **C.boxlite_operation, failure **C.boxlite_error) C.boxlite_status {
			return C.boxlite_execution_resize(e.pointer, C.uint16_t(size.Rows), C.uint16_t(size.Columns), operation, failure)
		})
}

// Close lets go of the command and its streams: one that still runs is killed, with everything it started.
func (e *Execution) Close() error {
	e.streams.Lock()
	stdin, stdout, stderr := e.stdin, e.stdout, e.stderr
	e.streams.Unlock()
	if stdin != nil {
		stdin.Close()
	}
	if stdout != nil {
		stdout.Close()
	}
	if stderr != nil {
		stderr.Close()
	}
	return e.close(func() { C.boxlite_execution_free(e.pointer) })
}

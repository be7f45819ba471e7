package boxlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// stderrKept is how much of stderr an ExitError of [Cmd.Output] carries.
const stderrKept = 64 << 10

// Cmd is a command to run in a box, used as one of os/exec is: fill in what is wanted, then Run, or Start and Wait. It
// cannot be used again.
//
//	out, err := box.Command("uname", "-r").Output()
type Cmd struct {
	// Path is the program, looked up in the PATH of the box if it has no slash.
	Path string
	// Args holds the program and its arguments.
	Args []string
	// Env has entries `NAME=value`, on top of those of the image and the box.
	Env []string
	// Dir is the working directory, made if it is missing; that of the box if empty.
	Dir string
	// User is `user[:group]` by name or number; that of the box if empty.
	User string
	// TTY gives the command a terminal of this size. Its stdout and stderr are then one stream, Stdout.
	TTY *TerminalSize
	// Stdin is what the command reads; nothing if nil. When the command ends, a Read of it that goes on is not waited for.
	Stdin io.Reader
	// Stdout and Stderr take what the command prints; nil throws it away. If both are the same comparable value, only one
	// goroutine at a time writes to it.
	Stdout io.Writer
	Stderr io.Writer
	// Execution is the running command, once it is started.
	Execution *Execution
	// State says how the command ended, once it is waited for.
	State *ExitStatus

	ctx      context.Context
	box      *Box
	pipes    []io.Closer
	stdin    bool
	waited   bool
	copies   sync.WaitGroup
	copied   firstError
	kept     *tailBuffer
	stopKill func() bool
	killed   chan struct{}
}

// ExitError is a command that ran and did not succeed.
type ExitError struct {
	ExitStatus
	// Stderr holds the end of what the command printed there, if [Cmd.Output] ran it and nothing else took it.
	Stderr []byte
}

// Error says how the command ended.
func (e *ExitError) Error() string {
	switch {
	case e.TimedOut:
		return "the command was killed by its timeout"
	case e.OOMKilled:
		return "the command was killed for lack of memory"
	case e.Signal != nil:
		return fmt.Sprintf("the command was ended by signal %d", *e.Signal)
	default:
		return fmt.Sprintf("the command exited with %d", e.ExitCode())
	}
}

// Command prepares a command; it runs until it ends by itself.
func (b *Box) Command(name string, arguments ...string) *Cmd {
	return b.CommandContext(context.Background(), name, arguments...)
}

// CommandContext prepares a command that is killed, with everything it started, when the context ends.
func (b *Box) CommandContext(ctx context.Context, name string, arguments ...string) *Cmd {
	return &Cmd{Path: name, Args: append([]string{name}, arguments...), ctx: ctx, box: b}
}

// String returns the command for people.
func (c *Cmd) String() string { return strings.Join(c.Args, " ") }

// Run starts the command and waits for it. The error is an [*ExitError] if it ran and did not exit with 0.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns what it printed to stdout.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, misuse("Stdout is set already")
	}
	var stdout bytes.Buffer
	c.Stdout = &stdout
	if c.Stderr == nil && c.TTY == nil {
		c.kept = &tailBuffer{limit: stderrKept}
		c.Stderr = c.kept
	}
	err := c.Run()
	var exit *ExitError
	if c.kept != nil && errors.As(err, &exit) {
		exit.Stderr = c.kept.bytes
	}
	return stdout.Bytes(), err
}

// CombinedOutput runs the command and returns what it printed to stdout and stderr, as it came.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, misuse("Stdout or Stderr is set already")
	}
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	err := c.Run()
	return output.Bytes(), err
}

// StdinPipe returns a pipe to the stdin of the command that is about to be started. Closing it is end of file.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if c.Stdin != nil || c.Execution != nil {
		return nil, misuse("Stdin is set, or the command was started")
	}
	reader, writer := io.Pipe()
	c.Stdin, c.pipes = reader, append(c.pipes, reader)
	return writer, nil
}

// StdoutPipe returns a pipe from the stdout of the command that is about to be started. It has to be read to its end, or
// closed, before Wait is called.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) {
	if c.Stdout != nil || c.Execution != nil {
		return nil, misuse("Stdout is set, or the command was started")
	}
	reader, writer := io.Pipe()
	c.Stdout = pipeWriter{writer}
	return reader, nil
}

// StderrPipe is StdoutPipe for stderr.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) {
	if c.Stderr != nil || c.Execution != nil {
		return nil, misuse("Stderr is set, or the command was started")
	}
	reader, writer := io.Pipe()
	c.Stderr = pipeWriter{writer}
	return reader, nil
}

// pipeWriter marks the pipes that end with the stream that is copied to them.
type pipeWriter struct{ *io.PipeWriter }

// Start begins the command. Wait has to be called afterwards.
func (c *Cmd) Start() error {
	if c.Execution != nil {
		return misuse("the command was started already")
	}
	options := []ExecOption{execOption(func(spec *ExecSpec) {
		spec.WorkingDir, spec.User, spec.TTY, spec.Stdin = c.Dir, c.User, c.TTY, c.Stdin != nil
	})}
	for _, entry := range c.Env {
		name, value, found := strings.Cut(entry, "=")
		if !found {
			return &Error{Code: ErrInvalidArgument, Message: fmt.Sprintf("malformed environment entry %q", entry), Operation: "box.exec"}
		}
		options = append(options, WithEnv(name, value))
	}
	var arguments []string
	if len(c.Args) > 0 {
		arguments = c.Args[1:]
	}
	execution, err := c.box.StartExecution(c.ctx, c.Path, arguments, options...)
	if err != nil {
		c.closePipes(err)
		return err
	}
	c.Execution = execution
	c.copyStreams()
	c.killed = make(chan struct{})
	c.stopKill = context.AfterFunc(c.ctx, func() {
		defer close(c.killed)
		// Failing means that it is over already, or that the runtime is.
		_ = execution.Kill(context.WithoutCancel(c.ctx))
		// A pipe that nobody reads must not hold up the end.
		c.closePipes(c.ctx.Err())
	})
	return nil
}

// copyStreams begins to move bytes between the command and what the caller gave.
func (c *Cmd) copyStreams() {
	stdout, stderr := c.Stdout, c.Stderr
	if stdout != nil && sameWriter(stdout, stderr) {
		shared := &lockedWriter{writer: stdout}
		stdout, stderr = shared, shared
	}
	c.copyOutput(c.Execution.Stdout(), stdout)
	c.copyOutput(c.Execution.Stderr(), stderr)
	if c.Stdin != nil {
		go func() {
			stdin := c.Execution.Stdin()
			// A command need not read all it is given: that it ended is no failure of the copy.
			_, _ = io.Copy(stdin, c.Stdin)
			stdin.Close()
		}()
	}
}

func (c *Cmd) copyOutput(from *OutputStream, to io.Writer) {
	if to == nil {
		from.Close()
		return
	}
	c.copies.Add(1)
	go func() {
		defer c.copies.Done()
		_, err := io.Copy(to, from)
		// What nobody takes must not hold up the command.
		from.Close()
		if pipe, ok := to.(pipeWriter); ok {
			if errors.Is(err, io.ErrClosedPipe) {
				err = nil
			}
			pipe.CloseWithError(err)
		}
		c.copied.set(err)
	}()
}

func (c *Cmd) closePipes(reason error) {
	for _, to := range []io.Writer{c.Stdout, c.Stderr} {
		if pipe, ok := to.(pipeWriter); ok {
			pipe.CloseWithError(reason)
		}
	}
	for _, pipe := range c.pipes {
		pipe.Close()
	}
}

// Wait waits for the end of the command and of the copying of its output. The error is an [*ExitError] if it did not exit
// with 0, and matches the end of the context if that killed it.
func (c *Cmd) Wait() error {
	if c.Execution == nil {
		return misuse("the command was not started")
	}
	if c.waited {
		return misuse("the command was waited for already")
	}
	c.waited = true
	// What kills the command is the context; waiting goes on until it has ended.
	status, err := c.Execution.Wait(context.WithoutCancel(c.ctx))
	if !c.stopKill() {
		<-c.killed
	}
	c.copies.Wait()
	c.closePipes(io.ErrClosedPipe)
	c.Execution.Close()
	if err != nil {
		return err
	}
	c.State = &status
	if !status.Success() {
		failure := &ExitError{ExitStatus: status}
		if reason := c.ctx.Err(); reason != nil {
			return errors.Join(reason, failure)
		}
		return failure
	}
	return c.copied.get()
}

func misuse(message string) error {
	return &Error{Code: ErrInvalidState, Message: message, Operation: "box.exec"}
}

// sameWriter tells whether both are one; values that cannot be compared are not.
func sameWriter(a, b io.Writer) bool {
	defer func() { _ = recover() }()
	return a == b
}

// lockedWriter lets two streams go to one writer.
type lockedWriter struct {
	mutex  sync.Mutex
	writer io.Writer
}

func (l *lockedWriter) Write(bytes []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.writer.Write(bytes)
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	bytes []byte
	limit int
}

func (t *tailBuffer) Write(bytes []byte) (int, error) {
	t.bytes = append(t.bytes, bytes...)
	if over := len(t.bytes) - t.limit; over > 0 {
		t.bytes = append(t.bytes[:0], t.bytes[over:]...)
	}
	return len(bytes), nil
}

// firstError keeps the first of several errors.
type firstError struct {
	mutex sync.Mutex
	err   error
}

func (f *firstError) set(err error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.err
}

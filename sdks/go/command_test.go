package boxlite_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

func TestCommandsAreUsedAsThoseOfOsExec(t *testing.T) {
	made := startBox(t, openTestHome(t))

	output, err := made.Command("echo", "hello").Output()
	if string(output) != "hello\n" || err != nil {
		t.Errorf("got %q, %v", output, err)
	}
	output, err = made.Command("sh", "-c", "echo out; echo err >&2; exit 3").Output()
	var exit *boxlite.ExitError
	if string(output) != "out\n" || !errors.As(err, &exit) || exit.ExitCode() != 3 || string(exit.Stderr) != "err\n" {
		t.Errorf("got %q, %v", output, err)
	}
	output, err = made.Command("sh", "-c", "echo out; echo err >&2").CombinedOutput()
	if !strings.Contains(string(output), "out\n") || !strings.Contains(string(output), "err\n") || err != nil {
		t.Errorf("got %q, %v", output, err)
	}
	must(t, made.Command("true").Run())

	with := made.Command("sh", "-c", "cat; echo $A $PWD; id -u >&2")
	var stdout, stderr bytes.Buffer
	with.Stdin, with.Stdout, with.Stderr = strings.NewReader("from stdin\n"), &stdout, &stderr
	with.Env, with.Dir, with.User = []string{"A=a"}, "/new", "7"
	must(t, with.Run())
	if stdout.String() != "from stdin\na /new\n" || stderr.String() != "7\n" || !with.State.Success() {
		t.Errorf("got %q, %q, %+v", stdout.String(), stderr.String(), with.State)
	}
	wants(t, with.Run(), boxlite.ErrInvalidState)

	err = made.Command("no-such-program").Run()
	wants(t, err, boxlite.ErrNotFound)
	err = made.Command("sh", "-c", "kill -9 $$").Run()
	if !errors.As(err, &exit) || exit.Signal == nil || *exit.Signal != 9 || exit.ExitCode() != 137 {
		t.Errorf("got %v", err)
	}
	malformed := made.Command("true")
	malformed.Env = []string{"no equals sign"}
	wants(t, malformed.Run(), boxlite.ErrInvalidArgument)
}

func TestPipesOfACommandStream(t *testing.T) {
	made := startBox(t, openTestHome(t))
	cat := made.Command("cat")
	stdin := mustHave(cat.StdinPipe())(t)
	stdout := mustHave(cat.StdoutPipe())(t)
	must(t, cat.Start())
	buffer := make([]byte, 100)
	for _, line := range []string{"one\n", "two\n"} {
		// The second line is written when the first one has come back: nothing waits for the end.
		mustHave(io.WriteString(stdin, line))(t)
		count := mustHave(io.ReadFull(stdout, buffer[:len(line)]))(t)
		if string(buffer[:count]) != line {
			t.Errorf("got %q", buffer[:count])
		}
	}
	must(t, stdin.Close())
	if rest := mustHave(io.ReadAll(stdout))(t); len(rest) != 0 {
		t.Errorf("got %q", rest)
	}
	must(t, cat.Wait())
	wants(t, cat.Wait(), boxlite.ErrInvalidState)
}

func TestALargeOutputArrivesWhole(t *testing.T) {
	made := startBox(t, openTestHome(t))
	output := mustHave(made.Command("head", "-c", "20000000", "/dev/zero").Output())(t)
	if len(output) != 20_000_000 || bytes.ContainsFunc(output, func(r rune) bool { return r != 0 }) {
		t.Errorf("got %d bytes", len(output))
	}
	count := made.Command("wc", "-c")
	count.Stdin = bytes.NewReader(output)
	if counted := mustHave(count.Output())(t); strings.TrimSpace(string(counted)) != "20000000" {
		t.Errorf("got %q", counted)
	}
	result := mustHave(made.Exec(t.Context(), "head", "-c", "5000000", "/dev/zero"))(t)
	if len(result.Stdout) != 5_000_000 || result.Stderr != "" {
		t.Errorf("got %d, %d bytes", len(result.Stdout), len(result.Stderr))
	}
}

func TestTheEndOfAContextKillsTheCommand(t *testing.T) {
	made := startBox(t, openTestHome(t))
	running := func(name string) bool {
		result := mustHave(made.Exec(t.Context(), "pidof", name))(t)
		return result.ExitCode == 0
	}
	ctx, cancel := context.WithCancel(t.Context())
	// A pipe that nobody reads any more must not hold it up.
	command := made.CommandContext(ctx, "sh", "-c", "echo ready; exec yes")
	stdout := mustHave(command.StdoutPipe())(t)
	must(t, command.Start())
	mustHave(io.ReadFull(stdout, make([]byte, 6)))(t)
	if !running("yes") {
		t.Error("it does not run")
	}
	cancel()
	err := command.Wait()
	var exit *boxlite.ExitError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &exit) || exit.Signal == nil {
		t.Errorf("got %v", err)
	}
	if running("yes") {
		t.Error("it still runs")
	}

	deadline, pass := newManualDeadline(t.Context())
	ended := make(chan error)
	go func() {
		_, err := made.Exec(deadline, "sh", "-c", "sleep 1000 & wait")
		ended <- err
	}()
	for !running("sleep") {
	}
	pass()
	err = <-ended
	wants(t, err, boxlite.ErrTimeout)
	if !errors.Is(err, context.DeadlineExceeded) || running("sleep") {
		t.Errorf("got %v", err)
	}
}

func TestATimeoutATerminalAndASignal(t *testing.T) {
	ctx, made := t.Context(), startBox(t, openTestHome(t))
	timed := mustHave(made.StartExecution(ctx, "sleep", []string{"1000"}, boxlite.WithTimeout(time.Millisecond)))(t)
	if status := mustHave(timed.Wait(ctx))(t); !status.TimedOut || status.Success() {
		t.Errorf("got %+v", status)
	}
	terminal := mustHave(made.StartExecution(ctx, "sh", []string{"-c", "read go; stty size"}, boxlite.WithStdin(), boxlite.WithTTY(10, 20)))(t)
	must(t, terminal.Resize(ctx, boxlite.TerminalSize{Rows: 33, Columns: 44}))
	mustHave(io.WriteString(terminal.Stdin(), "go\n"))(t)
	if text := mustHave(io.ReadAll(terminal.Stdout()))(t); !strings.Contains(string(text), "33 44") {
		t.Errorf("got %q", text)
	}
	signalled := mustHave(made.StartExecution(ctx, "sh", []string{"-c", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.01; done"}))(t)
	mustHave(io.ReadFull(signalled.Stdout(), make([]byte, 6)))(t)
	must(t, signalled.Signal(ctx, 10))
	signalled.Stdout().Close()
	if status := mustHave(signalled.Wait(ctx))(t); status.ExitCode() != 5 {
		t.Errorf("got %+v", status)
	}
	wants(t, signalled.Signal(ctx, 99), boxlite.ErrInvalidArgument)
}

func TestClosingAStreamEndsTheReadThatWaits(t *testing.T) {
	ctx, made := t.Context(), startBox(t, openTestHome(t))
	running := mustHave(made.StartExecution(ctx, "sleep", []string{"1000"}))(t)
	defer running.Close()
	stdout := running.Stdout()
	ended := make(chan error)
	begun := make(chan struct{})
	go func() {
		close(begun)
		_, err := stdout.Read(make([]byte, 1))
		ended <- err
	}()
	<-begun
	must(t, stdout.Close())
	wants(t, <-ended, boxlite.ErrInvalidState)

	stderr := running.Stderr()
	short, cancel := context.WithCancel(ctx)
	go func() {
		_, err := stderr.ReadContext(short, make([]byte, 1))
		ended <- err
	}()
	cancel()
	wants(t, <-ended, boxlite.ErrCancelled)
	_, err := running.Stdin().Write([]byte("x"))
	wants(t, err, boxlite.ErrInvalidState)
}

func TestClosingEventsEndsTheNextThatWaits(t *testing.T) {
	events := mustHave(open(t, t.TempDir()).Events())(t)
	ended := make(chan error)
	begun := make(chan struct{})
	go func() {
		close(begun)
		_, err := events.Next(context.Background())
		ended <- err
	}()
	<-begun
	must(t, events.Close())
	wants(t, <-ended, boxlite.ErrInvalidState)
}

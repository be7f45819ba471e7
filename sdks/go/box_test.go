package boxlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

func TestABoxLivesFromCreateToRemove(t *testing.T) {
	ctx, opened := t.Context(), openTestHome(t)
	events := mustHave(opened.Events())(t)
	defer events.Close()
	made := createBox(t, opened, boxlite.WithEnv("GREETING", "hello"), boxlite.WithHostname("inside"),
		boxlite.WithLabel("test", "life"), boxlite.WithDiskSizeMiB(128), boxlite.WithCPUs(1))

	info := mustHave(made.Info(ctx))(t)
	if info.ID != made.ID() || info.State != boxlite.BoxCreated || info.Image != testImage || !info.StartedAt.IsZero() ||
		info.Spec.Resources != (boxlite.Resources{CPUs: 1, MemoryMiB: 256, DiskMiB: 128}) || info.ExitCode != nil {
		t.Errorf("got %+v", info)
	}
	_, err := made.Exec(ctx, "true")
	wants(t, err, boxlite.ErrInvalidState)
	_, err = made.Metrics(ctx)
	wants(t, err, boxlite.ErrInvalidState)

	must(t, made.Start(ctx))
	wants(t, made.Start(ctx), boxlite.ErrInvalidState)
	wants(t, opened.Remove(ctx, made.ID(), false), boxlite.ErrInvalidState)
	info = mustHave(made.Info(ctx))(t)
	if info.State != boxlite.BoxRunning || info.Isolation == nil || info.Isolation.Accelerator != "tcg" || info.PID == 0 {
		t.Errorf("got %+v", info)
	}
	result := mustHave(made.Exec(ctx, "sh", "-c", "echo $GREETING from $(hostname); echo kept > /kept"))(t)
	if result.Stdout != "hello from inside\n" || result.ExitCode != 0 || !result.Status.Success() {
		t.Errorf("got %+v", result)
	}
	metrics := mustHave(made.Metrics(ctx))(t)
	if metrics.MemoryTotalBytes < 100<<20 || metrics.Processes == 0 {
		t.Errorf("got %+v", metrics)
	}

	must(t, made.Restart(ctx, boxlite.WithStopTimeout(patience)))
	same := mustHave(opened.Get(ctx, made.ID()[:8]))(t)
	if result := mustHave(same.Exec(ctx, "cat", "/kept"))(t); result.Stdout != "kept\n" {
		t.Errorf("got %+v", result)
	}
	must(t, same.Close())
	wants(t, same.Start(ctx), boxlite.ErrInvalidState)

	waited := make(chan int)
	go func() {
		code, err := made.Wait(context.Background())
		if err != nil {
			t.Error(err)
		}
		waited <- code
	}()
	must(t, made.Stop(ctx, boxlite.WithStopTimeout(patience)))
	if code := <-waited; code != 0 {
		t.Errorf("got %d", code)
	}
	found := false
	for _, listed := range mustHave(opened.List(ctx))(t) {
		found = found || listed.ID == made.ID() && listed.State == boxlite.BoxStopped
	}
	if !found {
		t.Error("the list does not have it")
	}
	must(t, made.Remove(ctx, false))
	_, err = made.Info(ctx)
	wants(t, err, boxlite.ErrNotFound)
	_, err = opened.Get(ctx, made.ID())
	wants(t, err, boxlite.ErrNotFound)

	var told []string
	for event, err := range events.All(ctx) {
		must(t, err)
		if event.ID != made.ID() || event.Stage != "" {
			continue
		}
		told = append(told, event.Type)
		if event.Type == "box_removed" {
			break
		}
	}
	expect := "box_created box_started exec_started exec_completed box_stopped box_started exec_started exec_completed " +
		"box_stopped box_removed"
	if got := strings.Join(told, " "); got != expect {
		t.Errorf("got %s", got)
	}
	counted := mustHave(opened.Metrics(ctx))(t)
	if counted.BoxesCreatedTotal != 1 || counted.TotalCommandsExecuted != 2 || counted.TotalExecErrors != 1 {
		t.Errorf("got %+v", counted)
	}
}

func TestABoxThatCannotBeIsRefused(t *testing.T) {
	ctx, opened := t.Context(), openTestHome(t)
	check := func(code boxlite.ErrorCode, image string, options ...boxlite.BoxOption) {
		t.Helper()
		_, err := opened.Create(ctx, image, options...)
		wants(t, err, code)
	}
	check(boxlite.ErrNotFound, "localhost/absent:1")
	check(boxlite.ErrInvalidArgument, testImage, boxlite.WithCPUs(0))
	check(boxlite.ErrInvalidArgument, testImage, boxlite.WithCPUs(17))
	check(boxlite.ErrInvalidArgument, testImage, boxlite.WithMemory(-1))
	check(boxlite.ErrInvalidArgument, testImage, boxlite.WithDiskSize(1000))
	check(boxlite.ErrInvalidArgument, testImage, boxlite.WithName("a b"))
	check(boxlite.ErrInvalidArgument, testImage, boxlite.WithEnv("A\x00", "B"))
	check(boxlite.ErrInvalidArgument, testImage, boxlite.WithEnv("", "B"))
	check(boxlite.ErrInvalidArgument, "")
	name := "go-" + t.Name()
	createBox(t, opened, boxlite.WithName(name))
	check(boxlite.ErrAlreadyExists, testImage, boxlite.WithName(name))
}

func TestTheMainCommandHasALogAndEndsTheBox(t *testing.T) {
	ctx, opened := t.Context(), openTestHome(t)
	made := createBox(t, opened, boxlite.WithMain("sh", "-c", "echo one; echo two >&2; echo $THREE; exit 7"),
		boxlite.WithMainOptions(boxlite.WithEnv("THREE", "three")))
	attached := mustHave(made.StartAttached(ctx))(t)
	result := mustHave(attached.Output(ctx))(t)
	if result.Stdout != "one\nthree\n" || result.Stderr != "two\n" || result.ExitCode != 7 {
		t.Errorf("got %+v", result)
	}
	must(t, attached.Close())
	if code := mustHave(made.Wait(ctx))(t); code != 7 {
		t.Errorf("got %d", code)
	}
	logs := mustHave(made.Logs(ctx, boxlite.WithFollow()))(t)
	defer logs.Close()
	text, latest := map[string]string{}, ""
	for entry, err := range logs.All(ctx) {
		must(t, err)
		text[entry.Source] += string(entry.Bytes)
		latest = string(entry.Bytes)
		if entry.At().IsZero() {
			t.Errorf("got %+v", entry)
		}
	}
	if text["stdout"] != "one\nthree\n" || text["stderr"] != "two\n" {
		t.Errorf("got %q", text)
	}
	last := mustHave(made.Logs(ctx, boxlite.WithTail(1)))(t)
	defer last.Close()
	// Which of the two streams comes last is nobody's promise.
	if entry := mustHave(last.Next(ctx))(t); !strings.HasSuffix(latest, string(entry.Bytes)) || bytes.Count(entry.Bytes, []byte("\n")) != 1 {
		t.Errorf("got %q, want the end of %q", entry.Bytes, latest)
	}
	if _, err := last.Next(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestAStartIsCancelledAndTheBoxIsAsItWas(t *testing.T) {
	opened := openTestHome(t)
	made := createBox(t, opened)
	events := mustHave(opened.Events())(t)
	defer events.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- made.Start(ctx) }()
	for event, err := range events.All(t.Context()) {
		must(t, err)
		if event.Type == "box_starting" {
			break
		}
	}
	cancel()
	err := <-ended
	wants(t, err, boxlite.ErrCancelled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if info := mustHave(made.Info(t.Context()))(t); info.State != boxlite.BoxCreated || info.PID != 0 {
		t.Errorf("got %+v", info)
	}
}

func TestAfterShutdownBoxesAndWhatRunsInThemAnswerStopped(t *testing.T) {
	ctx, opened := t.Context(), openTestHome(t)
	made := startBox(t, opened, boxlite.WithMain("sleep", "1000"))
	running := mustHave(made.StartExecution(ctx, "cat", nil, boxlite.WithStdin()))(t)
	stdin, stdout, stderr := running.Stdin(), running.Stdout(), running.Stderr()
	logs := mustHave(made.Logs(ctx, boxlite.WithFollow()))(t)
	events, late := mustHave(opened.Events())(t), mustHave(opened.Events())(t)
	waiting := map[string]func() error{
		"read":   func() error { _, err := stdout.Read(make([]byte, 10)); return err },
		"stderr": func() error { _, err := io.ReadAll(stderr); return err },
		"wait":   func() error { _, err := running.Wait(context.Background()); return err },
		"logs":   func() error { _, err := logs.Next(context.Background()); return err },
		"box":    func() error { _, err := made.Wait(context.Background()); return err },
		"exec":   func() error { _, err := made.Exec(context.Background(), "sleep", "1000"); return err },
		"stream": func() error { return untilStopped(events, made.ID()) },
	}
	type outcome struct {
		name string
		err  error
	}
	ended := make(chan outcome, len(waiting))
	for name, wait := range waiting {
		go func() { ended <- outcome{name, wait()} }()
	}
	// They are all under way when the library has counted this one command more.
	for {
		if mustHave(opened.Metrics(ctx))(t).TotalCommandsExecuted == 2 {
			break
		}
	}
	shutdown, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	must(t, opened.Shutdown(shutdown))
	for range waiting {
		got := <-ended
		if got.name == "stream" && got.err == nil {
			continue
		}
		if !errors.Is(got.err, boxlite.ErrStopped) {
			t.Errorf("%s: got %v", got.name, got.err)
		}
	}
	// Nobody has asked this one yet.
	must(t, untilStopped(late, made.ID()))
	allWant(t, everyBoxOperation(ctx, opened, made), boxlite.ErrStopped)
	allWant(t, everyExecutionOperation(ctx, running), boxlite.ErrStopped)
	_, err := stdin.Write([]byte("late"))
	wants(t, err, boxlite.ErrStopped)
	for _, close := range []func() error{running.Close, made.Close, logs.Close, events.Close, late.Close, stdin.Close, stdout.Close} {
		must(t, close())
		must(t, close())
	}
	if _, err := late.Next(ctx); err != io.EOF {
		t.Errorf("got %v", err)
	}
	allWant(t, everyBoxOperation(ctx, opened, made), boxlite.ErrStopped)
	allWant(t, everyExecutionOperation(ctx, running), boxlite.ErrStopped)

	// It was stopped with its runtime, and another one can have it at once.
	again := openTestHome(t)
	if info := mustHave(mustHave(again.Get(ctx, made.ID()))(t).Info(ctx))(t); info.State != boxlite.BoxStopped {
		t.Errorf("got %+v", info)
	}
	must(t, again.Remove(ctx, made.ID(), false))
}

// untilStopped reads events to their end, which has to come after that of the box, and again when it is asked for again.
func untilStopped(events *boxlite.Events, id string) error {
	stopped := false
	for {
		event, err := events.Next(context.Background())
		switch {
		case err == nil:
			stopped = stopped || event.Type == "box_stopped" && event.ID == id
		case err != io.EOF:
			return err
		case !stopped:
			return errors.New("the events ended before the box did")
		default:
			if _, err := events.Next(context.Background()); err != io.EOF {
				return fmt.Errorf("after the end: %v", err)
			}
			return nil
		}
	}
}

func TestClosedHandlesOfBoxesAnswerInvalidState(t *testing.T) {
	ctx, opened := t.Context(), openTestHome(t)
	made := startBox(t, opened)
	running := mustHave(made.StartExecution(ctx, "sleep", []string{"1000"}))(t)
	must(t, running.Close())
	must(t, running.Close())
	allWant(t, everyExecutionOperation(ctx, running), boxlite.ErrInvalidState)
	must(t, made.Close())
	must(t, made.Close())
	failures := everyBoxOperation(ctx, opened, made)
	for name := range failures {
		if strings.HasPrefix(name, "runtime") {
			delete(failures, name)
		}
	}
	allWant(t, failures, boxlite.ErrInvalidState)
	if got := failures["Start"].Error(); got != "box handle is closed" {
		t.Errorf("got %q", got)
	}
	// A dead runtime comes before a closed handle.
	must(t, opened.Close())
	allWant(t, everyExecutionOperation(ctx, running), boxlite.ErrStopped)
	allWant(t, everyBoxOperation(ctx, opened, made), boxlite.ErrStopped)
	must(t, openTestHome(t).Remove(ctx, made.ID(), true))
}

func everyBoxOperation(ctx context.Context, opened *boxlite.Runtime, made *boxlite.Box) map[string]error {
	failures := map[string]error{}
	created, err := opened.Create(ctx, testImage)
	if failures["runtime.Create"] = err; err == nil {
		failures["runtime.Remove of it"] = opened.Remove(ctx, created.ID(), true)
	}
	_, failures["runtime.Get"] = opened.Get(ctx, made.ID())
	_, failures["runtime.List"] = opened.List(ctx)
	failures["runtime.Remove"] = opened.Remove(ctx, "absent", false)
	failures["runtime.Prepare"] = opened.Prepare(ctx)
	_, failures["runtime.Kernels"] = opened.Kernels(ctx)
	_, failures["runtime.Events"] = opened.Events()
	_, failures["Info"] = made.Info(ctx)
	failures["Start"] = made.Start(ctx)
	_, failures["StartAttached"] = made.StartAttached(ctx)
	_, failures["Attach"] = made.Attach(ctx)
	failures["Detach"] = made.Detach(ctx)
	failures["Stop"] = made.Stop(ctx)
	failures["Restart"] = made.Restart(ctx)
	failures["Kill"] = made.Kill(ctx)
	failures["Signal"] = made.Signal(ctx, 15)
	_, failures["Wait"] = made.Wait(ctx)
	_, failures["Metrics"] = made.Metrics(ctx)
	_, failures["Stat"] = made.Stat(ctx, "/")
	failures["CopyIn"] = made.CopyIn(ctx, "/dev/null", "/a")
	failures["CopyOut"] = made.CopyOut(ctx, "/a", "/dev/null")
	failures["PutArchive"] = made.PutArchive(ctx, "/", strings.NewReader(""))
	_, failures["GetArchive"] = made.GetArchive(ctx, "/")
	_, failures["Logs"] = made.Logs(ctx)
	_, failures["Exec"] = made.Exec(ctx, "true")
	failures["Command"] = made.Command("true").Run()
	failures["Remove"] = made.Remove(ctx, true)
	return failures
}

func everyExecutionOperation(ctx context.Context, running *boxlite.Execution) map[string]error {
	failures := map[string]error{}
	_, failures["Wait"] = running.Wait(ctx)
	_, failures["Output"] = running.Output(ctx)
	failures["Signal"] = running.Signal(ctx, 15)
	failures["Kill"] = running.Kill(ctx)
	failures["Resize"] = running.Resize(ctx, boxlite.TerminalSize{Rows: 1, Columns: 1})
	_, failures["Stdin"] = running.Stdin().Write([]byte("x"))
	_, failures["Stdout"] = running.Stdout().Read(make([]byte, 1))
	_, failures["Stderr"] = running.Stderr().Read(make([]byte, 1))
	return failures
}

package boxlite_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
	"github.com/boxlite-ai/boxlite/sdks/go/internal/testregistry"
)

func TestAContextThatHasEndedStartsNothing(t *testing.T) {
	images := imagesOf(t, open(t, t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range everyImageOperation(ctx, images) {
		if !errors.Is(err, boxlite.ErrCancelled) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAPullIsCancelledAtEveryStageAndHasStoppedWhenItReturns(t *testing.T) {
	for stage, hold := range map[string]struct {
		on    any
		fault any
	}{
		"before the manifest":    {"manifests", testregistry.HoldHead("g")},
		"before a blob":          {"blobs", testregistry.HoldHead("g")},
		"in the middle of blobs": {"blobs", testregistry.HoldAfter(1000, "g")},
	} {
		t.Run(stage, func(t *testing.T) {
			registry := testregistry.Start(t)
			pushed := registry.Push("app:1", smallImage(1, 200_000))
			opened := open(t, t.TempDir())
			images := imagesOf(t, opened)
			for _, how := range []string{"cancelled", "past its deadline"} {
				registry.Heal()
				registry.Rule(hold.on, hold.fault)
				ctx, cancel := context.WithCancel(t.Context())
				code, reason := boxlite.ErrCancelled, context.Canceled
				if how == "past its deadline" {
					// A deadline that passes when the test says so.
					ctx, cancel = newManualDeadline(t.Context())
					code, reason = boxlite.ErrTimeout, context.DeadlineExceeded
				}
				ended := make(chan error)
				go func() {
					_, err := images.Pull(ctx, pushed.Reference)
					ended <- err
				}()
				registry.WaitForGate("g", 1)
				cancel()
				err := <-ended
				wants(t, err, code)
				if !errors.Is(err, reason) {
					t.Errorf("%s: got %v", how, err)
				}
				// The connection is gone: nothing goes on behind the caller's back.
				registry.WaitForAbandoned("g")
			}
			registry.Heal()
			mustHave(images.Pull(t.Context(), pushed.Reference))(t)
			if report := mustHave(opened.Check(t.Context(), false))(t); len(report.Findings) != 0 {
				t.Errorf("got %+v", report)
			}
		})
	}
}

func TestACancelledPullWithProgressEndsToo(t *testing.T) {
	registry := testregistry.Start(t)
	pushed := registry.Push("app:1", smallImage(1, 200_000))
	registry.Rule("blobs", testregistry.HoldAfter(1000, "g"))
	images := imagesOf(t, open(t, t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := images.Pull(ctx, pushed.Reference, boxlite.WithProgress(func(event boxlite.PullEvent) {
		if event.Type == "resolved" {
			cancel()
		}
	}))
	wants(t, err, boxlite.ErrCancelled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// hurries checks that a shutdown whose context is cancelled does not take the time its deadline gives it.
func hurries(t *testing.T, opened *boxlite.Runtime) {
	t.Helper()
	before := time.Now()
	ctx, cancel := context.WithDeadline(context.Background(), before.Add(2*patience))
	cancel()
	if err := opened.Shutdown(ctx); err != nil && !boxlite.IsTimeout(err) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(before); took > patience {
		t.Errorf("took %v", took)
	}
	_, err := opened.Metrics(t.Context())
	wants(t, err, boxlite.ErrStopped)
}

func TestACancelledShutdownDoesNotWaitForABoxThatWillNotStop(t *testing.T) {
	opened := openTestHome(t)
	hurried := mustHave(openHome(os.Getenv("BOXLITE_TEST_HOME")))(t)
	made := startBox(t, hurried, boxlite.WithMain("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1000; done"))
	logs := mustHave(made.Logs(t.Context(), boxlite.WithFollow()))(t)
	mustHave(logs.Next(t.Context()))(t)
	must(t, logs.Close())
	hurries(t, hurried)
	must(t, opened.Remove(t.Context(), made.ID(), true))
}

func TestACancelledShutdownDoesNotWaitForACallback(t *testing.T) {
	registry := testregistry.Start(t)
	pushed := registry.Push("app:1", smallImage(1, 1000))
	opened := mustHave(openHome(t.TempDir()))(t)
	var once sync.Once
	_, err := imagesOf(t, opened).Pull(t.Context(), pushed.Reference, boxlite.WithProgress(func(boxlite.PullEvent) {
		// The pull cannot return before this does.
		once.Do(func() { hurries(t, opened) })
	}))
	wants(t, err, boxlite.ErrStopped)
}

func TestAShutdownFromACallbackKeepsItsDeadline(t *testing.T) {
	registry := testregistry.Start(t)
	pushed := registry.Push("app:1", smallImage(1, 1000))
	opened := mustHave(openHome(t.TempDir()))(t)
	var once sync.Once
	var took time.Duration
	_, err := imagesOf(t, opened).Pull(t.Context(), pushed.Reference, boxlite.WithProgress(func(boxlite.PullEvent) {
		once.Do(func() {
			// The pull cannot return before this does.
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			before := time.Now()
			if err := opened.Shutdown(ctx); err != nil && !boxlite.IsTimeout(err) {
				t.Errorf("got %v", err)
			}
			took = time.Since(before)
		})
	}))
	wants(t, err, boxlite.ErrStopped)
	if took > patience {
		t.Errorf("took %v", took)
	}
}

// manualDeadline is a context whose deadline passes when the test says so.
type manualDeadline struct {
	context.Context
	passed chan struct{}
}

func newManualDeadline(parent context.Context) (context.Context, context.CancelFunc) {
	ctx := &manualDeadline{parent, make(chan struct{})}
	return ctx, func() { close(ctx.passed) }
}

func (m *manualDeadline) Deadline() (time.Time, bool) { return time.Now(), true }
func (m *manualDeadline) Done() <-chan struct{}       { return m.passed }

func (m *manualDeadline) Err() error {
	select {
	case <-m.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

package boxlite_test

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
	"github.com/boxlite-ai/boxlite/sdks/go/internal/testregistry"
)

// everyImageOperation calls each one, and returns its error by name.
func everyImageOperation(ctx context.Context, images *boxlite.Images) map[string]error {
	failures := map[string]error{}
	_, failures["Pull"] = images.Pull(ctx, "localhost/a:1")
	_, failures["List"] = images.List(ctx)
	_, failures["Get"] = images.Get(ctx, "localhost/a:1")
	_, failures["Inspect"] = images.Inspect(ctx, "localhost/a:1")
	_, failures["Tag"] = images.Tag(ctx, "localhost/a:1", "localhost/b:1")
	_, failures["Remove"] = images.Remove(ctx, "localhost/a:1", true)
	failures["ExportEROFS"] = images.ExportEROFS(ctx, "localhost/a:1", os.DevNull)
	return failures
}

// everyRuntimeOperation calls each one, and returns its error by name.
func everyRuntimeOperation(ctx context.Context, opened *boxlite.Runtime) map[string]error {
	failures := map[string]error{}
	_, failures["Images"] = opened.Images()
	_, failures["Metrics"] = opened.Metrics(ctx)
	_, failures["Usage"] = opened.Usage(ctx)
	_, failures["Check"] = opened.Check(ctx, false)
	_, failures["Doctor"] = opened.Doctor(ctx)
	return failures
}

func allWant(t *testing.T, failures map[string]error, code boxlite.ErrorCode) {
	t.Helper()
	for name, err := range failures {
		if !errors.Is(err, code) {
			t.Errorf("%s: got %v, want %v", name, err, code)
		}
	}
}

func TestAfterShutdownEveryCallOnEveryHandleAnswersStopped(t *testing.T) {
	for name, end := range map[string]func(*boxlite.Runtime) error{
		"Close":    (*boxlite.Runtime).Close,
		"Shutdown": func(opened *boxlite.Runtime) error { return opened.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			opened := mustHave(openHome(home))(t)
			images := imagesOf(t, opened)
			for range 3 {
				must(t, end(opened))
				allWant(t, everyImageOperation(t.Context(), images), boxlite.ErrStopped)
				allWant(t, everyRuntimeOperation(t.Context(), opened), boxlite.ErrStopped)
			}
			// The old handles are still held; the home is free all the same.
			again := open(t, home)
			mustHave(imagesOf(t, again).List(t.Context()))(t)
			allWant(t, everyImageOperation(t.Context(), images), boxlite.ErrStopped)
			must(t, images.Close())
			allWant(t, everyImageOperation(t.Context(), images), boxlite.ErrStopped)
		})
	}
}

func TestAClosedHandleOnALiveRuntimeAnswersInvalidState(t *testing.T) {
	opened := open(t, t.TempDir())
	images := imagesOf(t, opened)
	for range 3 {
		must(t, images.Close())
		failures := everyImageOperation(t.Context(), images)
		allWant(t, failures, boxlite.ErrInvalidState)
		if got := failures["List"].Error(); got != "image handle is closed" {
			t.Errorf("got %q", got)
		}
	}
	must(t, opened.Close())
	allWant(t, everyImageOperation(t.Context(), images), boxlite.ErrStopped)
}

func TestARuntimeThatIsCollectedAsGarbageIsClosed(t *testing.T) {
	home := t.TempDir()
	images := func() *boxlite.Images { return imagesOf(t, mustHave(openHome(home))(t)) }()
	deadline := time.Now().Add(patience)
	for {
		runtime.GC()
		if _, err := images.List(t.Context()); err != nil {
			wants(t, err, boxlite.ErrStopped)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it was not collected")
		}
	}
	allWant(t, everyImageOperation(t.Context(), images), boxlite.ErrStopped)
	open(t, home)
}

func TestTheHomeCanBeDeletedRightAfterShutdown(t *testing.T) {
	registry := testregistry.Start(t)
	pushed := registry.Push("app:1", smallImage(1, 2_000_000))
	registry.Rule("blobs", testregistry.HoldAfter(1000, "g"))
	home := t.TempDir()
	opened := mustHave(openHome(home))(t)
	images := imagesOf(t, opened)
	ended := make(chan error)
	go func() {
		_, err := images.Pull(context.Background(), pushed.Reference)
		ended <- err
	}()
	registry.WaitForGate("g", 1)
	must(t, opened.Close())
	must(t, os.RemoveAll(home))
	wants(t, <-ended, boxlite.ErrStopped)
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the home is back: %v", err)
	}
	allWant(t, everyImageOperation(t.Context(), images), boxlite.ErrStopped)
}

func TestShutdownRacingAHundredPullsInFlight(t *testing.T) {
	const references, pulls = 10, 100
	registry := testregistry.Start(t)
	var pushed []testregistry.Pushed
	for seed := range references {
		pushed = append(pushed, registry.Push("app"+string(rune('a'+seed))+":1", smallImage(seed, 1000)))
	}
	home := t.TempDir()
	for round := range rounds(5) {
		gate := "round-" + time.Duration(round).String()
		// Some rounds open the gate first, so that what is cancelled has got further each time.
		letThrough := round%2 == 1
		registry.Heal()
		registry.Rule("manifests", testregistry.HoldHead(gate))
		opened := mustHave(openHome(home))(t)
		images := imagesOf(t, opened)
		var mutex sync.Mutex
		var returned int
		var group sync.WaitGroup
		for pull := range pulls {
			group.Add(1)
			go func() {
				defer group.Done()
				_, err := images.Pull(context.Background(), pushed[pull%references].Reference)
				// One that was let through may have won.
				if !errors.Is(err, boxlite.ErrStopped) && (err != nil || !letThrough) {
					t.Errorf("got %v", err)
				}
				mutex.Lock()
				defer mutex.Unlock()
				returned++
			}()
		}
		registry.WaitForGate(gate, references)
		if letThrough {
			go registry.OpenGate(gate)
		}
		before := time.Now()
		if err := opened.Shutdown(context.Background()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if took := time.Since(before); took > shutdownLimit {
			t.Errorf("round %d: took %v", round, took)
		}
		group.Wait()
		if returned != pulls {
			t.Errorf("round %d: %d returned", round, returned)
		}
		if t.Failed() {
			return
		}
	}
}

// shutdownLimit is the default deadline and the quarter of a second beyond it.
const shutdownLimit = 10*time.Second + 250*time.Millisecond

func TestUsingAndClosingFromEightGoroutinesAtOnce(t *testing.T) {
	for range rounds(10) {
		home := t.TempDir()
		opened := mustHave(openHome(home))(t)
		var group sync.WaitGroup
		for worker := range 8 {
			group.Add(1)
			go func() {
				defer group.Done()
				for range 20 {
					images, err := opened.Images()
					if errors.Is(err, boxlite.ErrStopped) {
						return
					}
					if err == nil {
						_, err = images.List(context.Background())
					}
					if err != nil && !errors.Is(err, boxlite.ErrInvalidState) && !errors.Is(err, boxlite.ErrStopped) {
						t.Errorf("got %v", err)
					}
					if images != nil && worker%2 == 0 {
						must(t, images.Close())
					}
				}
				if worker == 7 {
					must(t, opened.Close())
				}
			}()
		}
		group.Wait()
		must(t, opened.Close())
	}
}

func TestHandlesThatAreDroppedWhileCallsRunAreNotFreedUnderThem(t *testing.T) {
	registry := testregistry.Start(t)
	pushed := registry.Push("app:1", smallImage(1, 1000))
	defer collectGarbage()()
	for range rounds(10) {
		opened := mustHave(openHome(t.TempDir()))(t)
		for range 5 {
			// Nothing holds the handle but the call.
			mustHave(imagesOf(t, opened).Pull(context.Background(), pushed.Reference))(t)
			mustHave(imagesOf(t, opened).List(context.Background()))(t)
			must(t, imagesOf(t, opened).Close())
		}
		must(t, opened.Close())
	}
}

func TestBoxesAndCommandsThatAreDroppedWhileCallsRunAreNotFreedUnderThem(t *testing.T) {
	ctx, opened := t.Context(), openTestHome(t)
	id := startBox(t, opened).ID()
	defer collectGarbage()()
	for range 20 {
		// Nothing holds the box, nor the execution, but what was taken of it.
		stdout := mustHave(mustHave(opened.Get(ctx, id))(t).StartExecution(ctx, "echo", []string{"held"}))(t).Stdout()
		if text := mustHave(io.ReadAll(stdout))(t); string(text) != "held\n" {
			t.Fatalf("got %q", text)
		}
		status := mustHave(mustHave(mustHave(opened.Get(ctx, id))(t).StartExecution(ctx, "true", nil))(t).Wait(ctx))(t)
		if !status.Success() {
			t.Fatalf("got %+v", status)
		}
	}
}

// collectGarbage does so all the time until it is told to stop.
func collectGarbage() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
				runtime.GC()
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

func TestAProgramThatEndsWithoutClosingLeavesAUsableHome(t *testing.T) {
	registry := testregistry.Start(t)
	pushed := registry.Push("app:1", smallImage(1, 100_000))
	registry.Rule("blobs", testregistry.HoldAfter(1000, "g"))
	home := t.TempDir()
	child := startRole(t, "exit-with-a-pull-under-way", home, pushed.Reference)
	registry.WaitForGate("g", 1)
	if output, err := child.end(); err != nil || !strings.Contains(output, "pulling") {
		t.Fatalf("got %v, %s", err, output)
	}
	registry.Heal()
	images := imagesOf(t, open(t, home))
	mustHave(images.Pull(t.Context(), pushed.Reference))(t)
}

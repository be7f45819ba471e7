package boxlite_test

import (
	"context"
	"os"
	"testing"

	"github.com/boxlite-ai/boxlite/sdks/go"
	"github.com/boxlite-ai/boxlite/sdks/go/internal/testregistry"
)

// testImage keeps its name, however the port of the registry changes.
const testImage = "localhost/boxlite-go-test:busybox"

// openTestHome opens the home that tests share, so that kernel and template are made once, with the image of the tests in
// it.
func openTestHome(t testing.TB) *boxlite.Runtime {
	t.Helper()
	home := os.Getenv("BOXLITE_TEST_HOME")
	if home == "" {
		t.Skip("BOXLITE_TEST_HOME names no home for virtual machines; sdks/go/test.sh does")
	}
	opened := open(t, home)
	images := imagesOf(t, opened)
	if _, err := images.Get(context.Background(), testImage); boxlite.IsNotFound(err) {
		registry := testregistry.Start(t)
		pushed := registry.Push("busybox:1", map[string]any{"base": "busybox"})
		mustHave(images.Pull(context.Background(), pushed.Reference))(t)
		mustHave(images.Tag(context.Background(), pushed.Reference, testImage))(t)
	} else {
		must(t, err)
	}
	return opened
}

// createBox makes a box until the test is over.
func createBox(t testing.TB, opened *boxlite.Runtime, options ...boxlite.BoxOption) *boxlite.Box {
	t.Helper()
	options = append([]boxlite.BoxOption{boxlite.WithMemory(256)}, options...)
	made := mustHave(opened.Create(context.Background(), testImage, options...))(t)
	t.Cleanup(func() {
		if err := opened.Remove(context.Background(), made.ID(), true); err != nil && !boxlite.IsNotFound(err) && !boxlite.IsStopped(err) {
			t.Errorf("remove: %v", err)
		}
	})
	return made
}

// startBox makes a box that runs until the test is over.
func startBox(t testing.TB, opened *boxlite.Runtime, options ...boxlite.BoxOption) *boxlite.Box {
	t.Helper()
	made := createBox(t, opened, options...)
	must(t, made.Start(context.Background()))
	return made
}

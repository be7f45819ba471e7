package boxlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
	"github.com/boxlite-ai/boxlite/sdks/go/internal/testregistry"
)

func TestAnImageIsPulledListedLookedUpTaggedAndRemoved(t *testing.T) {
	ctx, registry := t.Context(), testregistry.Start(t)
	pushed := registry.Push("app:1", smallImage(1, 20_000))
	images := imagesOf(t, open(t, t.TempDir()))

	pulled := mustHave(images.Pull(ctx, pushed.Reference))(t)
	if pulled.Reference != pushed.Reference || pulled.ID != pushed.ID || pulled.ConfigDigest != pushed.ConfigDigest ||
		pulled.LayerCount != 1 || pulled.Cached || pulled.BytesFetched < pushed.SizeBytes || pulled.Platform.OS != "linux" {
		t.Errorf("got %+v", pulled)
	}
	again := mustHave(images.Pull(ctx, pushed.Reference, boxlite.WithPullPolicy(boxlite.PullMissing)))(t)
	if !again.Cached || again.BytesFetched != 0 || again.ID != pulled.ID {
		t.Errorf("got %+v", again)
	}

	list := mustHave(images.List(ctx))(t)
	if len(list) != 1 {
		t.Fatalf("got %+v", list)
	}
	info := list[0]
	if info.Reference != pushed.Reference || info.Repository+":"+info.Tag != pushed.Reference || info.Tag != "1" ||
		info.ID != pushed.ID || info.Size != pushed.SizeBytes || time.Since(info.CachedAt) > time.Hour || info.LayerCount != 1 {
		t.Errorf("got %+v, pushed %+v", info, pushed)
	}
	if got := mustHave(images.Get(ctx, pushed.ID))(t); *got != info {
		t.Errorf("got %+v", got)
	}
	details := mustHave(images.Inspect(ctx, pushed.Reference, boxlite.WithPlatform(info.Platform)))(t)
	if details.ImageInfo != info || !slices.Equal(details.References, []string{pushed.Reference}) ||
		len(details.Layers) != 1 || details.Layers[0].Digest != pushed.Layers[0] {
		t.Errorf("got %+v", details)
	}

	tagged := mustHave(images.Tag(ctx, pushed.Reference, "localhost/mine:2"))(t)
	if tagged.Reference != "localhost/mine:2" || tagged.ID != pushed.ID {
		t.Errorf("got %+v", tagged)
	}
	file := filepath.Join(t.TempDir(), "root.erofs")
	must(t, images.ExportEROFS(ctx, "localhost/mine:2", file))
	if exported, err := os.Stat(file); err != nil || exported.Size() < 20_000 {
		t.Errorf("got %v, %v", exported, err)
	}

	removed := mustHave(images.Remove(ctx, pushed.Reference, false))(t)
	if !slices.Equal(removed.Untagged, []string{pushed.Reference}) || len(removed.Deleted) != 0 {
		t.Errorf("got %+v", removed)
	}
	removed = mustHave(images.Remove(ctx, "localhost/mine:2", false))(t)
	if !slices.Equal(removed.Deleted, []string{pushed.ID}) || removed.BytesFreed < pushed.SizeBytes {
		t.Errorf("got %+v", removed)
	}
	if list := mustHave(images.List(ctx))(t); len(list) != 0 {
		t.Errorf("got %+v", list)
	}
}

func TestErrorsCarryWhatHappened(t *testing.T) {
	ctx, registry := t.Context(), testregistry.Start(t)
	images := imagesOf(t, open(t, t.TempDir()))
	absent := registry.Host + "/absent:1"
	_, err := images.Pull(ctx, absent)
	wants(t, err, boxlite.ErrNotFound)
	var failure *boxlite.Error
	errors.As(err, &failure)
	if failure.Operation != "images.pull" || failure.Context["reference"] != absent || failure.Hint == "" ||
		failure.Retryable || strings.ContainsAny(failure.Message, "\n") {
		t.Errorf("got %+v", failure)
	}
	if !boxlite.IsNotFound(err) || boxlite.IsStopped(err) || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	for _, malformed := range []string{"", "A B", "a\x00b", "\xff"} {
		_, err = images.Pull(ctx, malformed)
		wants(t, err, boxlite.ErrInvalidArgument)
		_, err = images.Get(ctx, malformed)
		wants(t, err, boxlite.ErrInvalidArgument)
	}
	_, err = images.Pull(ctx, absent, boxlite.WithPlatform(boxlite.Platform{OS: "a b"}))
	wants(t, err, boxlite.ErrInvalidArgument)
	_, err = images.Pull(ctx, absent, boxlite.WithPullPolicy(7))
	wants(t, err, boxlite.ErrInvalidArgument)
	_, err = images.Pull(ctx, absent, boxlite.WithPullPolicy(boxlite.PullNever))
	wants(t, err, boxlite.ErrNotFound)
}

func TestAHomeThatCannotBeUsedIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	_, err := boxlite.NewRuntime(boxlite.WithHomeDir(file))
	wants(t, err, boxlite.ErrStorage)
	_, err = boxlite.NewRuntime(boxlite.WithHomeDir(t.TempDir()),
		boxlite.WithImageRegistry(boxlite.ImageRegistry{Host: "localhost", Transport: "carrier-pigeon"}))
	wants(t, err, boxlite.ErrInvalidArgument)
	_, err = boxlite.NewRuntime(boxlite.WithHomeDir(t.TempDir()),
		boxlite.WithImageRegistry(boxlite.ImageRegistry{Host: "localhost", Auth: boxlite.ImageRegistryAuth{Username: "only"}}))
	wants(t, err, boxlite.ErrInvalidArgument)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = boxlite.OpenRuntime(ctx, boxlite.WithHomeDir(t.TempDir()))
	wants(t, err, boxlite.ErrCancelled)
}

func TestProgressIsToldInOrderAndBeforePullReturns(t *testing.T) {
	registry := testregistry.Start(t)
	pushed := registry.Push("app:1", smallImage(1, 200_000))
	images := imagesOf(t, open(t, t.TempDir()))
	var told []string
	var received uint64
	_, err := images.Pull(t.Context(), pushed.Reference, boxlite.WithProgress(func(event boxlite.PullEvent) {
		if len(told) == 0 || told[len(told)-1] != event.Type {
			told = append(told, event.Type)
		}
		received = max(received, event.ReceivedBytes)
	}))
	must(t, err)
	if got := strings.Join(told, " "); got != "resolving resolved layer_downloading layer_done merging done" {
		t.Errorf("got %s", got)
	}
	if received == 0 || received > pushed.SizeBytes {
		t.Errorf("got %d bytes of %d", received, pushed.SizeBytes)
	}
}

func TestTheImageHandleIsTheSameAtEachAccess(t *testing.T) {
	opened := open(t, t.TempDir())
	first := imagesOf(t, opened)
	for range 100 {
		if imagesOf(t, opened) != first {
			t.Fatal("another handle")
		}
	}
	must(t, first.Close())
	second := imagesOf(t, opened)
	if second == first {
		t.Fatal("the closed handle came back")
	}
	mustHave(second.List(t.Context()))(t)
	_, err := first.List(t.Context())
	wants(t, err, boxlite.ErrInvalidState)
}

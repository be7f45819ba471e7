package boxlite_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

func TestFilesGoInAndOut(t *testing.T) {
	ctx, made, host := t.Context(), startBox(t, openTestHome(t)), t.TempDir()
	must(t, os.MkdirAll(filepath.Join(host, "tree", "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(host, "tree", "sub", "file"), []byte("content"), 0o640))
	must(t, made.CopyIn(ctx, filepath.Join(host, "tree"), "/data", boxlite.WithOwner(5, 6)))

	stat := mustHave(made.Stat(ctx, "/data/sub/file"))(t)
	if stat.Size != 7 || stat.Mode&0o7777 != 0o640 || stat.UID != 5 || stat.GID != 6 || time.Since(stat.ModifiedAt()) > time.Hour {
		t.Errorf("got %+v", stat)
	}
	_, err := made.Stat(ctx, "/absent")
	wants(t, err, boxlite.ErrNotFound)
	wants(t, made.CopyIn(ctx, filepath.Join(host, "absent"), "/x"), boxlite.ErrNotFound)
	wants(t, made.CopyIn(ctx, filepath.Join(host, "tree")+"/.", "/data", boxlite.WithoutOverwrite()), boxlite.ErrAlreadyExists)

	must(t, made.CopyOut(ctx, "/data/.", filepath.Join(host, "back")))
	content, err := os.ReadFile(filepath.Join(host, "back", "sub", "file"))
	if string(content) != "content" || err != nil {
		t.Errorf("got %q, %v", content, err)
	}
}

func TestArchivesGoInAndOut(t *testing.T) {
	ctx, made := t.Context(), startBox(t, openTestHome(t))
	content := bytes.Repeat([]byte("0123456789"), 300_000)
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	must(t, writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "big", Size: int64(len(content)), Mode: 0o644}))
	mustHave(writer.Write(content))(t)
	must(t, writer.Close())
	packed := archive.Bytes()
	must(t, made.PutArchive(ctx, "/tmp", bytes.NewReader(packed)))

	stream := mustHave(made.GetArchive(ctx, "/tmp/big"))(t)
	defer stream.Close()
	members := tar.NewReader(stream)
	member := mustHave(members.Next())(t)
	got := mustHave(io.ReadAll(members))(t)
	if member.Name != "big" || !bytes.Equal(got, content) {
		t.Errorf("got %s, %d bytes", member.Name, len(got))
	}

	wants(t, made.PutArchive(ctx, "/absent", bytes.NewReader(packed)), boxlite.ErrNotFound)
	broken := errors.New("broken")
	err := made.PutArchive(ctx, "/tmp", io.MultiReader(bytes.NewReader(packed[:1000]), iotest.ErrReader(broken)))
	wants(t, err, boxlite.ErrStorage)
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	_, err = made.GetArchive(ctx, "/absent")
	wants(t, err, boxlite.ErrNotFound)
}

func TestAnArchiveThatDoesNotComeHoldsUpNothing(t *testing.T) {
	opened := openTestHome(t)
	made := startBox(t, opened)
	// unpack puts an archive that begins, and then does not go on; it returns when the box takes it.
	unpack := func(ctx context.Context) (ended chan error) {
		archive, begun := io.Pipe()
		t.Cleanup(func() { begun.Close() })
		ended = make(chan error, 1)
		go func() { ended <- made.PutArchive(ctx, "/tmp", archive) }()
		header := tar.NewWriter(begun)
		must(t, header.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "half", Size: 1 << 20, Mode: 0o644}))
		return ended
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := unpack(ctx)
	cancel()
	err := <-ended
	wants(t, err, boxlite.ErrCancelled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	ended = unpack(t.Context())
	must(t, made.Kill(t.Context()))
	wants(t, <-ended, boxlite.ErrStopped)

	must(t, made.Start(t.Context()))
	ended = unpack(t.Context())
	must(t, opened.Close())
	wants(t, <-ended, boxlite.ErrStopped)
	must(t, openTestHome(t).Remove(t.Context(), made.ID(), true))
}

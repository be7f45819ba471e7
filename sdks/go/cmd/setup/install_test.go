package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func installed(t *testing.T, root string, members map[string]string) {
	t.Helper()
	expect := map[string]string{
		".": "dr-xr-xr-x ", "cmd": "dr-xr-xr-x ", "go.mod": "-r--r--r-- module m\n", "include": "dr-xr-xr-x ",
		"libboxlite.a":                        "-r--r--r-- " + members[libraryMember],
		filepath.Join("include", "boxlite.h"): "-r--r--r-- " + members[headerMember],
	}
	if got := snapshot(t, root); !maps.Equal(got, expect) {
		t.Fatalf("got  %v\nwant %v", got, expect)
	}
}

func TestInstallsBothFilesIntoAReadOnlyModuleAndLeavesItReadOnly(t *testing.T) {
	root, wanted := readOnlyModule(t), fileArtifact(t, goodMembers())
	must(t, install(context.Background(), wanted, moduleLayout(root), io.Discard))
	installed(t, root, goodMembers())
}

func TestASecondRunDoesNothingAndNeedsNoArchive(t *testing.T) {
	root, wanted := readOnlyModule(t), fileArtifact(t, goodMembers())
	must(t, install(context.Background(), wanted, moduleLayout(root), io.Discard))
	must(t, os.Remove(wanted.file))
	var told bytes.Buffer
	must(t, install(context.Background(), wanted, moduleLayout(root), &told))
	if !strings.Contains(told.String(), "nothing to do") {
		t.Fatal(told.String())
	}
	installed(t, root, goodMembers())
}

func TestFilesThatAreNotTheRightOnesAreReplaced(t *testing.T) {
	root, newer := readOnlyModule(t), goodMembers()
	must(t, install(context.Background(), fileArtifact(t, goodMembers()), moduleLayout(root), io.Discard))
	newer[libraryMember] = "!<arch>\nnewer"
	newer[headerMember] = "/* newer */"
	must(t, install(context.Background(), fileArtifact(t, newer), moduleLayout(root), io.Discard))
	installed(t, root, newer)
}

func TestAnArchiveOfOnesOwnIsRecognisedByWhatItHolds(t *testing.T) {
	root, wanted := readOnlyModule(t), fileArtifact(t, goodMembers())
	wanted.pin.library, wanted.pin.header = "", ""
	must(t, install(context.Background(), wanted, moduleLayout(root), io.Discard))
	var told bytes.Buffer
	must(t, install(context.Background(), wanted, moduleLayout(root), &told))
	if !strings.Contains(told.String(), "nothing to do") {
		t.Fatal(told.String())
	}
	installed(t, root, goodMembers())
}

func TestEveryFailureHasItsOwnErrorAndLeavesTheModuleAsItWas(t *testing.T) {
	without := func(member string) artifact {
		members := goodMembers()
		delete(members, member)
		return fileArtifact(t, members)
	}
	spoilt := func(spoil func(*artifact)) artifact {
		wanted := fileArtifact(t, goodMembers())
		spoil(&wanted)
		return wanted
	}
	cut := func(wanted *artifact) {
		archive, err := os.ReadFile(wanted.file)
		must(t, err)
		archive = archive[:len(archive)/2]
		must(t, os.WriteFile(wanted.file, archive, 0o644))
		wanted.pin.archive = sum(archive)
	}
	check := func(name string, wanted artifact, kind error, says string) {
		for _, before := range []string{"nothing installed", "another version installed"} {
			t.Run(name+"/"+before, func(t *testing.T) {
				root := readOnlyModule(t)
				if before != "nothing installed" {
					older := goodMembers()
					older[libraryMember] = "!<arch>\nolder"
					must(t, install(context.Background(), fileArtifact(t, older), moduleLayout(root), io.Discard))
				}
				was := snapshot(t, root)
				err := install(context.Background(), wanted, moduleLayout(root), io.Discard)
				if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
					t.Fatalf("got %v", err)
				}
				if now := snapshot(t, root); !maps.Equal(now, was) {
					t.Fatalf("was %v\nis  %v", was, now)
				}
			})
		}
	}
	check("wrong checksum", spoilt(func(a *artifact) { a.pin.archive = sum(nil) }), errChecksum, "wrong checksum")
	check("wrong library", spoilt(func(a *artifact) { a.pin.library = sum(nil) }), errChecksum, libraryMember)
	check("wrong header", spoilt(func(a *artifact) { a.pin.header = sum(nil) }), errChecksum, headerMember)
	check("missing header", without(headerMember), errMissingHeader, "no include/boxlite.h")
	check("missing library", without(libraryMember), errMissingLibrary, "no lib/libboxlite.a")
	check("cut short", spoilt(cut), errArchive, "cannot be unpacked")
	check("no archive", spoilt(func(a *artifact) { a.file += ".absent" }), errFetch, "there is no archive")
}

func TestAFailureBetweenTheTwoFilesTakesTheFirstOneBack(t *testing.T) {
	root := readOnlyModule(t)
	must(t, os.Chmod(root, 0o755))
	// The library's place is taken by what cannot be replaced by a file.
	must(t, os.Mkdir(filepath.Join(root, "libboxlite.a"), 0o755))
	must(t, os.Chmod(root, 0o555))
	was := snapshot(t, root)
	err := install(context.Background(), fileArtifact(t, goodMembers()), moduleLayout(root), io.Discard)
	if !errors.Is(err, errReadOnly) {
		t.Fatalf("got %v", err)
	}
	if now := snapshot(t, root); !maps.Equal(now, was) {
		t.Fatalf("was %v\nis  %v", was, now)
	}
}

func TestADirectoryThatCannotBeMadeWritableSaysSo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs a directory that even root cannot write to, as procfs has them")
	}
	// Read-only by its mode, and nobody may change that.
	root := "/proc/self/task"
	err := install(context.Background(), fileArtifact(t, goodMembers()), moduleLayout(root), io.Discard)
	var told *problem
	if !errors.Is(err, errReadOnly) || !errors.As(err, &told) || !strings.Contains(told.hint, "-prefix") {
		t.Fatalf("got %v", err)
	}
}

func TestAnInterruptedDownloadLeavesTheModuleAsItWas(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		answer.Header().Set("Content-Length", "1000000")
		_, _ = answer.Write([]byte("the beginning"))
		answer.(http.Flusher).Flush()
		close(asked)
		<-request.Context().Done()
	}))
	defer server.Close()
	root, wanted := readOnlyModule(t), fileArtifact(t, goodMembers())
	wanted.file, wanted.url = "", server.URL
	was := snapshot(t, root)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-asked
		cancel()
	}()
	if err := install(ctx, wanted, moduleLayout(root), io.Discard); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if now := snapshot(t, root); !maps.Equal(now, was) {
		t.Fatalf("was %v\nis  %v", was, now)
	}
}

func TestAnInterruptedUnpackingLeavesTheModuleAsItWas(t *testing.T) {
	root, wanted := readOnlyModule(t), fileArtifact(t, goodMembers())
	archive, err := os.Open(wanted.file)
	must(t, err)
	defer archive.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := unpack(ctx, archive, wanted.pin, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := install(ctx, wanted, moduleLayout(root), io.Discard); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestRunsAtTheSameTimeInstallOnceAndRestoreTheModes(t *testing.T) {
	wanted := fileArtifact(t, goodMembers())
	archive, err := os.ReadFile(wanted.file)
	must(t, err)
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = answer.Write(archive)
	}))
	defer server.Close()
	wanted.file, wanted.url = "", server.URL
	root := readOnlyModule(t)
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := install(context.Background(), wanted, moduleLayout(root), io.Discard); err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
	installed(t, root, goodMembers())
	if requests.Load() != 1 {
		t.Fatalf("%d downloads", requests.Load())
	}
}

func TestAPrefixIsMadeWithWhatIsMissingAboveItAndTakenBackWithIt(t *testing.T) {
	above, wanted := t.TempDir(), fileArtifact(t, goodMembers())
	must(t, os.Mkdir(filepath.Join(above, "there"), 0o755))
	prefix, was := filepath.Join(above, "there", "not", "yet"), snapshot(t, above)
	absent := wanted
	absent.file += ".absent"
	if err := setUpPrefix(context.Background(), absent, prefix, io.Discard, io.Discard); !errors.Is(err, errFetch) {
		t.Fatalf("got %v", err)
	}
	blocked := filepath.Join(above, "there", "file")
	must(t, os.WriteFile(blocked, nil, 0o644))
	below := filepath.Join(blocked, "not", "yet")
	if err := setUpPrefix(context.Background(), wanted, below, io.Discard, io.Discard); !errors.Is(err, errReadOnly) {
		t.Fatalf("got %v", err)
	}
	must(t, os.Remove(blocked))
	if now := snapshot(t, above); !maps.Equal(now, was) {
		t.Fatalf("was %v\nis  %v", was, now)
	}
	must(t, setUpPrefix(context.Background(), wanted, prefix, io.Discard, io.Discard))
	if !prefixLayout(prefix).holds(wanted.pin.library, wanted.pin.header) {
		t.Fatalf("got %v", snapshot(t, above))
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheSameInputMakesTheSameReleaseAndPlatformsAddUp(t *testing.T) {
	stage, out, again := t.TempDir(), t.TempDir(), t.TempDir()
	for _, member := range members {
		file := filepath.Join(stage, filepath.FromSlash(member))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(member), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	produce := func(version, platform, out string) {
		t.Helper()
		if err := release(version, platform, stage, out, "../.."); err != nil {
			t.Fatal(err)
		}
	}
	produce("v0.8.0", "linux-amd64", out)
	produce("v0.9.0", "linux-amd64", out)
	produce("v0.9.0", "linux-arm64", out)
	produce("v0.9.0", "linux-amd64", out)
	produce("v0.9.0", "linux-arm64", again)
	produce("v0.9.0", "linux-amd64", again)
	// An archive that is there already is pinned as it is.
	if err := release("v0.9.0", "linux-amd64", "", again, "../.."); err != nil {
		t.Fatal(err)
	}
	if err := release("v0.9.0", "linux-absent", "", again, "../.."); err == nil {
		t.Error("an archive that is not there was pinned")
	}
	read := func(directory, name string) string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	checksums := read(out, "checksums.txt")
	var names []string
	for line := range strings.Lines(checksums) {
		names = append(names, strings.Fields(line)[1])
	}
	expect := "boxlite-c-v0.9.0-linux-amd64.tar.gz boxlite-c-v0.9.0-linux-amd64/include/boxlite.h " +
		"boxlite-c-v0.9.0-linux-amd64/lib/libboxlite.a boxlite-c-v0.9.0-linux-arm64.tar.gz " +
		"boxlite-c-v0.9.0-linux-arm64/include/boxlite.h boxlite-c-v0.9.0-linux-arm64/lib/libboxlite.a"
	if got := strings.Join(names, " "); got != expect {
		t.Errorf("got %s", got)
	}
	for _, file := range []string{"checksums.txt", "boxlite-c-v0.9.0-linux-arm64.tar.gz", "proxy/" + modulePath + "/@v/v0.9.0.zip"} {
		if read(out, file) != read(again, file) {
			t.Errorf("%s differs", file)
		}
	}
	if list := read(out, "proxy/"+modulePath+"/@v/list"); list != "v0.8.0\nv0.9.0\n" {
		t.Errorf("got %q", list)
	}
}

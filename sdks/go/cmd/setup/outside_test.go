package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/boxlite-ai/boxlite/sdks/go/internal/modproxy"
)

// outside is a program outside any checkout that uses the module: an empty directory, and a module cache that is filled
// from a proxy made of the module itself. Only the archive is a stand-in, so that this needs no native library.
type outside struct {
	t           *testing.T
	directory   string
	cache       string
	environment []string
	artifacts   string
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	platform, err := platformName(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		t.Skip(err)
	}
	proxy, artifacts := t.TempDir(), t.TempDir()
	for _, version := range []string{"v0.9.0", "v0.9.1"} {
		members := map[string]string{libraryMember: "library of " + version, headerMember: "header of " + version}
		archive := pack(t, members)
		stem := "boxlite-c-" + version + "-" + platform
		must(t, os.WriteFile(filepath.Join(artifacts, stem+archiveSuffix), archive, 0o644))
		checksums := fmt.Sprintf("%s  %s\n%s  %s/%s\n%s  %s/%s\n", sum(archive), stem+archiveSuffix,
			sum([]byte(members[libraryMember])), stem, libraryMember, sum([]byte(members[headerMember])), stem, headerMember)
		module := modproxy.Module{
			Path: modulePath, Version: version, Root: "../..",
			Replace: map[string][]byte{"cmd/setup/checksums.txt": []byte(checksums)},
		}
		must(t, module.Write(proxy))
	}
	o := &outside{t: t, directory: t.TempDir(), cache: filepath.Join(t.TempDir(), "cache"), artifacts: artifacts}
	t.Cleanup(func() { makeRemovable(o.cache) })
	o.environment = append(os.Environ(), "GOPROXY=file://"+proxy, "GOMODCACHE="+o.cache, "GOSUMDB=off", "GOFLAGS=",
		"GOWORK=off", "GOTOOLCHAIN=local", "PWD="+o.directory, artifactVariable+"="+artifacts, artifactSHA256Variable+"=")
	must(t, os.WriteFile(filepath.Join(o.directory, "main.go"),
		[]byte("package main\n\nimport _ \""+modulePath+"\"\n\nfunc main() {}\n"), 0o644))
	o.run("go", "mod", "init", "outside")
	return o
}

// attempt runs a command in the program's directory, and returns what it printed.
func (o *outside) attempt(name string, arguments ...string) (stdout, stderr string, err error) {
	command := exec.Command(name, arguments...)
	var out, talk strings.Builder
	command.Dir, command.Env, command.Stdout, command.Stderr = o.directory, o.environment, &out, &talk
	err = command.Run()
	return out.String(), talk.String(), err
}

func (o *outside) run(name string, arguments ...string) (stdout, stderr string) {
	o.t.Helper()
	stdout, stderr, err := o.attempt(name, arguments...)
	if err != nil {
		o.t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, stderr)
	}
	return stdout, stderr
}

// holds checks that both files of a version are in a directory.
func (o *outside) holds(version, library, header string) {
	o.t.Helper()
	for file, expect := range map[string]string{library: "library of " + version, header: "header of " + version} {
		content, err := os.ReadFile(file)
		if err != nil || string(content) != expect {
			o.t.Fatalf("%s: got %q, %v", file, content, err)
		}
	}
}

func (o *outside) moduleDirectory(version string) string {
	return filepath.Join(o.cache, filepath.FromSlash(modulePath)+"@"+version)
}

func TestOutsideAnyCheckoutTheModuleCacheIsSetUp(t *testing.T) {
	o := newOutside(t)
	o.run("go", "get", modulePath+"@v0.9.0")
	directory := o.moduleDirectory("v0.9.0")
	before := snapshot(t, directory)
	o.run("go", "run", modulePath+"/cmd/setup")
	o.holds("v0.9.0", filepath.Join(directory, "libboxlite.a"), filepath.Join(directory, "include", "boxlite.h"))
	after := snapshot(t, directory)
	for _, added := range []string{"libboxlite.a", "include", filepath.Join("include", "boxlite.h")} {
		if mode := after[added]; strings.Contains(strings.Fields(mode)[0], "w") {
			t.Errorf("%s is writable: %s", added, mode)
		}
		delete(after, added)
	}
	if !maps.Equal(before, after) {
		t.Errorf("before %v\nafter  %v", before, after)
	}

	// Another version has a directory, and a library, of its own.
	o.run("go", "get", modulePath+"@v0.9.1")
	if _, talk, err := o.attempt("go", "run", modulePath+"/cmd/setup@v0.9.0"); err == nil ||
		!strings.Contains(talk, "this is the setup of v0.9.0, but the module in use is v0.9.1") {
		t.Errorf("got %v, %s", err, talk)
	}
	o.run("go", "run", modulePath+"/cmd/setup")
	directory = o.moduleDirectory("v0.9.1")
	o.holds("v0.9.1", filepath.Join(directory, "libboxlite.a"), filepath.Join(directory, "include", "boxlite.h"))
}

func TestOutsideAnyCheckoutAVendoredModuleIsSetUp(t *testing.T) {
	o := newOutside(t)
	o.run("go", "get", modulePath+"@v0.9.0")
	o.run("go", "mod", "vendor")
	o.run("go", "run", "-mod=mod", modulePath+"/cmd/setup")
	directory := filepath.Join(o.directory, "vendor", filepath.FromSlash(modulePath))
	o.holds("v0.9.0", filepath.Join(directory, "libboxlite.a"), filepath.Join(directory, "include", "boxlite.h"))
	if _, err := os.Stat(filepath.Join(o.moduleDirectory("v0.9.0"), "libboxlite.a")); err == nil {
		t.Error("the module cache was changed too")
	}
}

func TestOutsideAnyCheckoutAPrefixIsSetUpWithoutTouchingTheCache(t *testing.T) {
	o := newOutside(t)
	o.run("go", "get", modulePath+"@v0.9.0")
	before := snapshot(t, o.moduleDirectory("v0.9.0"))
	settings, _ := o.run("go", "run", modulePath+"/cmd/setup", "-prefix", "deep/down/native")
	prefix := filepath.Join(o.directory, "deep", "down", "native")
	o.holds("v0.9.0", filepath.Join(prefix, "lib", "libboxlite.a"), filepath.Join(prefix, "include", "boxlite.h"))
	if !strings.Contains(settings, "-I"+filepath.Join(prefix, "include")) {
		t.Errorf("got %s", settings)
	}
	if after := snapshot(t, o.moduleDirectory("v0.9.0")); !maps.Equal(before, after) {
		t.Errorf("before %v\nafter  %v", before, after)
	}
}

func TestWhereTheModuleIsNotUsedItSaysSo(t *testing.T) {
	o := newOutside(t)
	_, talk, err := o.attempt("go", "run", modulePath+"/cmd/setup@v0.9.0")
	if err == nil || !strings.Contains(talk, "error: the module "+modulePath+" is not used here") ||
		!strings.Contains(talk, "hint: run it in the directory of your own module") {
		t.Errorf("got %v, %s", err, talk)
	}
}

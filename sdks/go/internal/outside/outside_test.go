package outside

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/boxlite-ai/boxlite/sdks/go/internal/testregistry"
)

const modulePath = "github.com/boxlite-ai/boxlite/sdks/go"

// program is what an outsider writes: it opens a home, pulls an image if one is named, and runs a command in a box of it;
// then it sees the image handle die with its runtime.
const program = `package main

import (
	"context"
	"fmt"
	"os"

	boxlite "` + modulePath + `"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	runtime, err := boxlite.NewRuntime(boxlite.WithHomeDir(os.Args[1]))
	if err != nil {
		return err
	}
	defer runtime.Close()
	images, err := runtime.Images()
	if err != nil {
		return err
	}
	for _, reference := range os.Args[2:] {
		if _, err := images.Pull(ctx, reference); err != nil {
			return err
		}
		box, err := runtime.Create(ctx, reference, boxlite.WithMemory(256))
		if err != nil {
			return err
		}
		defer box.Remove(ctx, true)
		if err := box.Start(ctx); err != nil {
			return err
		}
		output, err := box.Command("echo", "hello from a box").Output()
		if err != nil {
			return err
		}
		fmt.Print(string(output))
		if err := box.Remove(ctx, true); err != nil {
			return err
		}
		if _, err := images.Remove(ctx, reference, false); err != nil {
			return err
		}
	}
	runtime.Close()
	_, err = images.List(ctx)
	fmt.Println(boxlite.IsStopped(err))
	return nil
}
`

// outsider is an empty directory with that program, and a module cache of its own.
type outsider struct {
	t           *testing.T
	directory   string
	environment []string
}

func newOutsider(t *testing.T) *outsider {
	t.Helper()
	release := os.Getenv("BOXLITE_TEST_RELEASE")
	if release == "" {
		t.Skip("BOXLITE_TEST_RELEASE names no release; sdks/go/test.sh makes one")
	}
	cache := filepath.Join(t.TempDir(), "cache")
	t.Cleanup(func() { makeRemovable(cache) })
	o := &outsider{t: t, directory: t.TempDir()}
	for _, entry := range os.Environ() {
		// What this checkout needs to be built with is nothing an outsider knows of.
		if !strings.HasPrefix(entry, "CGO_") && !strings.HasPrefix(entry, "BOXLITE_") && !strings.HasPrefix(entry, "PWD=") {
			o.environment = append(o.environment, entry)
		}
	}
	o.environment = append(o.environment, "GOPROXY=file://"+filepath.Join(release, "proxy"), "GOMODCACHE="+cache,
		"GOSUMDB=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "BOXLITE_ARTIFACT="+release)
	if err := os.WriteFile(filepath.Join(o.directory, "main.go"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	o.run("go", "mod", "init", "outsider")
	o.run("go", "get", modulePath)
	return o
}

// makeRemovable lets the test's own cleanup delete a module cache.
func makeRemovable(root string) {
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return nil
	})
}

func (o *outsider) attempt(extra []string, name string, arguments ...string) (string, error) {
	command := exec.Command(name, arguments...)
	command.Dir, command.Env = o.directory, append(o.environment, extra...)
	output, err := command.CombinedOutput()
	return string(output), err
}

func (o *outsider) run(name string, arguments ...string) string {
	o.t.Helper()
	output, err := o.attempt(nil, name, arguments...)
	if err != nil {
		o.t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, output)
	}
	return output
}

// works runs the program that was built.
func (o *outsider) works() {
	o.t.Helper()
	if output := o.run("./outsider", o.t.TempDir()); output != "true\n" {
		o.t.Fatalf("got %s", output)
	}
}

func TestAModuleCacheIsAllThatAnOutsiderNeeds(t *testing.T) {
	o := newOutsider(t)
	// Who forgets the setup is told about it, by the compiler.
	if output, err := o.attempt(nil, "go", "build"); err == nil || !strings.Contains(output, "go run "+modulePath+"/cmd/setup") {
		t.Fatalf("got %v, %s", err, output)
	}
	o.run("go", "run", modulePath+"/cmd/setup")
	o.run("go", "build")
	o.works()

	home := os.Getenv("BOXLITE_TEST_HOME")
	if home == "" {
		t.Skip("BOXLITE_TEST_HOME names no home for virtual machines; sdks/go/test.sh does")
	}
	pushed := testregistry.Start(t).Push("outsider:1", map[string]any{"base": "busybox"})
	if output := o.run("./outsider", home, pushed.Reference); output != "hello from a box\ntrue\n" {
		t.Fatalf("got %s", output)
	}
}

func TestAVendoredModuleIsAllThatAnOutsiderNeeds(t *testing.T) {
	o := newOutsider(t)
	o.run("go", "mod", "vendor")
	o.run("go", "run", "-mod=mod", modulePath+"/cmd/setup")
	o.run("go", "build", "-mod=vendor")
	o.works()
}

func TestAPrefixIsAllThatAnOutsiderNeeds(t *testing.T) {
	o := newOutsider(t)
	command := exec.Command("go", "run", modulePath+"/cmd/setup", "-prefix", "native")
	command.Dir, command.Env = o.directory, o.environment
	settings, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	o.run("sh", "-c", string(settings)+"exec go build")
	o.works()
}

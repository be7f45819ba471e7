package boxlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
	"github.com/boxlite-ai/boxlite/sdks/go/internal/testregistry"
)

// guide is docs/go.md, executed: every block of the page is part of it, word for word.
func guide(ctx context.Context, home, reference, slowReference, script string) error {
	runtime, err := boxlite.NewRuntime(boxlite.WithHomeDir(home))
	if err != nil {
		return err
	}
	defer runtime.Close()

	images, err := runtime.Images()
	if err != nil {
		return err
	}
	pulled, err := images.Pull(ctx, reference)
	if err != nil {
		return err
	}
	fmt.Printf("%s is %s (%d layers)\n", pulled.Reference, pulled.ID, pulled.LayerCount)

	again, err := images.Pull(ctx, reference, boxlite.WithPullPolicy(boxlite.PullMissing),
		boxlite.WithProgress(func(event boxlite.PullEvent) { fmt.Println(event.Type) }))
	if err != nil {
		return err
	}
	fmt.Println(again.Cached, again.BytesFetched) // true 0

	list, err := images.List(ctx)
	if err != nil {
		return err
	}
	for _, image := range list {
		fmt.Println(image.Reference, image.Platform, image.Size)
	}
	if _, err := images.Tag(ctx, reference, "localhost/guide-go:latest"); err != nil {
		return err
	}
	if _, err := images.Remove(ctx, "localhost/guide-go:latest", false); err != nil {
		return err
	}

	box, err := runtime.Create(ctx, reference, boxlite.WithMemory(256), boxlite.WithEnv("GREETING", "hello"))
	if err != nil {
		return err
	}
	if err := box.Start(ctx); err != nil {
		return err
	}
	result, err := box.Exec(ctx, "sh", "-c", "echo $GREETING")
	if err != nil {
		return err
	}
	fmt.Print(result.ExitCode, result.Stdout) // 0hello

	shout := box.CommandContext(ctx, "tr", "a-z", "A-Z")
	shout.Stdin = strings.NewReader("shout\n")
	shout.Stdout = os.Stdout
	if err := shout.Run(); err != nil {
		return err
	}

	var exit *boxlite.ExitError
	if err := box.Command("sh", "-c", "exit 3").Run(); errors.As(err, &exit) {
		fmt.Println(exit.ExitCode()) // 3
	}

	cat, err := box.StartExecution(ctx, "cat", nil, boxlite.WithStdin())
	if err != nil {
		return err
	}
	defer cat.Close()
	if _, err := io.WriteString(cat.Stdin(), "to and fro\n"); err != nil {
		return err
	}
	cat.Stdin().Close()
	if _, err := io.Copy(os.Stdout, cat.Stdout()); err != nil {
		return err
	}
	status, err := cat.Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Println(status.Success()) // true

	if err := box.CopyIn(ctx, script, "/work.sh"); err != nil {
		return err
	}
	if err := box.CopyOut(ctx, "/etc/hostname", script+".out"); err != nil {
		return err
	}

	if err := box.Stop(ctx); err != nil {
		return err
	}
	if err := box.Remove(ctx, false); err != nil {
		return err
	}

	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err = images.Pull(short, slowReference)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), boxlite.IsTimeout(err)) // true true

	_, err = images.Get(ctx, "localhost/absent:1")
	var failure *boxlite.Error
	if errors.As(err, &failure) {
		fmt.Println(failure.Code, failure.Context["reference"], failure.Hint)
	}
	fmt.Println(boxlite.IsNotFound(err), errors.Is(err, boxlite.ErrNotFound)) // true true

	shutdown, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := runtime.Shutdown(shutdown); err != nil {
		return err
	}
	_, err = images.List(ctx)
	fmt.Println(boxlite.IsStopped(err)) // true
	return nil
}

func TestThePageDoesWhatItSays(t *testing.T) {
	opened := openTestHome(t)
	registry := testregistry.Start(t)
	pushed := registry.Push("busybox:guide", map[string]any{"base": "busybox"})
	slow := registry.Push("slow:1", smallImage(1, 1000))
	registry.Rule(map[string]any{"manifest": "1"}, testregistry.HoldHead("slow"))
	script := filepath.Join(t.TempDir(), "work.sh")
	must(t, os.WriteFile(script, []byte("echo work\n"), 0o644))
	printed := capture(t, func() {
		must(t, guide(t.Context(), os.Getenv("BOXLITE_TEST_HOME"), pushed.Reference, slow.Reference, script))
	})
	for _, comment := range expectations(t) {
		if !strings.Contains(printed, comment) {
			t.Errorf("%q is not in %s", comment, printed)
		}
	}
	mustHave(imagesOf(t, opened).Remove(t.Context(), pushed.Reference, false))(t)
}

// capture returns what is printed meanwhile.
func capture(t *testing.T, act func()) string {
	t.Helper()
	reader, writer, err := os.Pipe()
	must(t, err)
	stdout := os.Stdout
	os.Stdout = writer
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(reader)
		read <- string(text)
	}()
	func() {
		defer func() { os.Stdout = stdout }()
		defer writer.Close()
		act()
	}()
	return <-read
}

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "go.md"))
	must(t, err)
	return string(text)
}

// expectations are what the comments of the page say is printed.
func expectations(t *testing.T) []string {
	t.Helper()
	var expected []string
	for _, match := range regexp.MustCompile(`Print(?:ln)?\(.*\) // (.*)`).FindAllStringSubmatch(page(t), -1) {
		expected = append(expected, match[1]+"\n")
	}
	if len(expected) < 7 {
		t.Fatalf("found %q", expected)
	}
	return expected
}

func TestEveryBlockOfThePageIsExecuted(t *testing.T) {
	source := mustHave(os.ReadFile("guide_test.go"))(t)
	squeeze := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	executed := squeeze(string(source))
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page(t), -1)
	if len(blocks) < 10 {
		t.Fatalf("found %d blocks", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(executed, squeeze(block[1])) {
			t.Errorf("not executed:\n%s", block[1])
		}
	}
}

package boxlite_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

// patience is for virtual machines in software emulation on a busy host.
const patience = 60 * time.Second

// TestMain lets tests start this program again in another role: as a program that ends without closing anything.
func TestMain(m *testing.M) {
	if role := os.Getenv("BOXLITE_TEST_ROLE"); role != "" {
		playRole(role)
		return
	}
	os.Exit(m.Run())
}

// open opens a home until the test is over.
func open(t testing.TB, home string, options ...boxlite.RuntimeOption) *boxlite.Runtime {
	t.Helper()
	opened, err := openHome(home, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := opened.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return opened
}

// openHome opens a home whose boxes run in software emulation, and whose pulls do not wait long between attempts.
func openHome(home string, options ...boxlite.RuntimeOption) (*boxlite.Runtime, error) {
	return boxlite.NewRuntime(append([]boxlite.RuntimeOption{
		boxlite.WithHomeDir(home), boxlite.WithAccelerator(boxlite.AcceleratorTCG), boxlite.WithRetries(2, time.Millisecond),
	}, options...)...)
}

func imagesOf(t testing.TB, opened *boxlite.Runtime) *boxlite.Images {
	t.Helper()
	images, err := opened.Images()
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// wants checks the code of an error.
func wants(t testing.TB, err error, code boxlite.ErrorCode) {
	t.Helper()
	var failure *boxlite.Error
	if !errors.Is(err, code) || !errors.As(err, &failure) || failure.Code != code {
		t.Fatalf("got %v, want %v", err, code)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustHave[T any](value T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return value
	}
}

// rounds is how often a race is run: a few times, or as often as the soak asks for.
func rounds(usual int) int {
	if asked, err := strconv.Atoi(os.Getenv("BOXLITE_SOAK_ROUNDS")); err == nil {
		return asked
	}
	return usual
}

// smallImage has one layer of a file and of bytes that hardly compress.
func smallImage(seed, bytes int) map[string]any {
	return map[string]any{"layers": []any{map[string]any{
		"files": map[string]string{"etc/motd": "hello " + strconv.Itoa(seed)}, "filler_bytes": bytes, "seed": seed,
	}}}
}

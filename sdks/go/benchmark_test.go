package boxlite_test

import (
	"context"
	"io"
	"testing"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

// BenchmarkCall measures what a call costs from Go through the library and back: looking up an image that is not there.
func BenchmarkCall(b *testing.B) {
	images := imagesOf(b, open(b, b.TempDir()))
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := images.Get(ctx, "localhost/absent:1"); !boxlite.IsNotFound(err) {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefusedCall measures a call on a runtime that is shut down, which the library is not asked about.
func BenchmarkRefusedCall(b *testing.B) {
	opened := open(b, b.TempDir())
	images := imagesOf(b, opened)
	must(b, opened.Close())
	ctx := context.Background()
	for b.Loop() {
		if _, err := images.List(ctx); !boxlite.IsStopped(err) {
			b.Fatal(err)
		}
	}
}

// BenchmarkImages measures access to the image handle.
func BenchmarkImages(b *testing.B) {
	opened := open(b, b.TempDir())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := opened.Images(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkExec measures a command from its start to its end.
func BenchmarkExec(b *testing.B) {
	made := startBox(b, openTestHome(b))
	ctx := context.Background()
	for b.Loop() {
		mustHave(made.Exec(ctx, "true"))(b)
	}
}

// BenchmarkStdout measures how fast the output of a command arrives.
func BenchmarkStdout(b *testing.B) {
	made := startBox(b, openTestHome(b))
	running := mustHave(made.StartExecution(context.Background(), "cat", []string{"/dev/zero"}))(b)
	defer running.Close()
	buffer := make([]byte, 256<<10)
	b.SetBytes(1 << 20)
	for b.Loop() {
		mustHave(io.CopyBuffer(writerOnly{io.Discard}, io.LimitReader(running.Stdout(), 1<<20), buffer))(b)
	}
}

// writerOnly hides what io.Discard can do besides, so that the buffer of the copy is used.
type writerOnly struct{ io.Writer }

// BenchmarkStdin measures how fast the input of a command goes in.
func BenchmarkStdin(b *testing.B) {
	made := startBox(b, openTestHome(b))
	running := mustHave(made.StartExecution(context.Background(), "sh", []string{"-c", "cat > /dev/null"}, boxlite.WithStdin()))(b)
	defer running.Close()
	piece := make([]byte, 1<<20)
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		mustHave(running.Stdin().Write(piece))(b)
	}
}

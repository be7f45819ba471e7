package boxlite_test

import (
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

// executionsAtOnce is how many commands wait at the same time below.
const executionsAtOnce = 1000

func TestAThousandExecutionsPinNoThreads(t *testing.T) {
	made := startBox(t, openTestHome(t), boxlite.WithMemory(1024))
	mustHave(made.Exec(t.Context(), "true"))(t)
	before := threads(t)
	during := executeAtOnce(t, made)
	t.Logf("%d threads before, %d with %d executions under way", before, during, executionsAtOnce)
	if during-before > threadsMore {
		t.Errorf("%d threads more", during-before)
	}
}

// BenchmarkAThousandExecutions measures that many commands that run at the same time: each is begun, written to, read
// from and waited for.
func BenchmarkAThousandExecutions(b *testing.B) {
	made := startBox(b, openTestHome(b), boxlite.WithMemory(1024))
	during := 0
	for b.Loop() {
		during = max(during, executeAtOnce(b, made))
	}
	b.ReportMetric(float64(during), "threads")
	b.ReportMetric(float64(b.N)*executionsAtOnce/b.Elapsed().Seconds(), "executions/s")
}

// executeAtOnce runs a thousand commands to their ends, and returns how many threads there were while all of them ran.
func executeAtOnce(t testing.TB, made *boxlite.Box) (during int) {
	t.Helper()
	ctx := t.Context()
	executions := make([]*boxlite.Execution, executionsAtOnce)
	var group sync.WaitGroup
	for index := range executions {
		group.Add(1)
		go func() {
			defer group.Done()
			running, err := made.StartExecution(ctx, "cat", nil, boxlite.WithStdin())
			if err != nil {
				t.Error(err)
				return
			}
			executions[index] = running
		}()
	}
	group.Wait()
	if t.Failed() {
		return 0
	}
	// All of them run; now all are waited for, and read from, until each has answered.
	answered := make(chan struct{}, executionsAtOnce)
	for _, running := range executions {
		group.Add(1)
		go func() {
			defer group.Done()
			stdout, answer := running.Stdout(), make([]byte, 3)
			if _, err := io.ReadFull(stdout, answer); err != nil || string(answer) != "hi\n" {
				t.Errorf("got %q, %v", answer, err)
			}
			answered <- struct{}{}
			if rest, err := io.ReadAll(stdout); err != nil || len(rest) != 0 {
				t.Errorf("got %q, %v", rest, err)
			}
			if status, err := running.Wait(ctx); err != nil || !status.Success() {
				t.Errorf("got %+v, %v", status, err)
			}
			must(t, running.Close())
		}()
	}
	for _, running := range executions {
		mustHave(io.WriteString(running.Stdin(), "hi\n"))(t)
	}
	for range executions {
		<-answered
	}
	during = threads(t)
	for _, running := range executions {
		must(t, running.Stdin().Close())
	}
	group.Wait()
	return during
}

// threadsMore is what Go itself may start meanwhile: calls into C that take long get a thread for their time.
const threadsMore = 50

// threads counts those of this process.
func threads(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if count, found := strings.CutPrefix(line, "Threads:"); found {
			return mustHave(strconv.Atoi(strings.TrimSpace(count)))(t)
		}
	}
	t.Skip("this host does not count threads in /proc/self/status")
	return 0
}

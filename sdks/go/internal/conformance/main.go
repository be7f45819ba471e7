// Command conformance is the adapter of the Go SDK for the scenarios of the repository: it carries out operations through
// this SDK as a program would, and reports what came back. conformance/PROTOCOL.md describes the lines it reads and writes;
// comparing and judging is the driver's.
//
// Each request runs on a goroutine of its own, under a context that `{"cancel": id}` cancels.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

// lineBytesMax is the longest line there may be: an archive in base64.
const lineBytesMax = 256 << 20

type request struct {
	ID     int             `json:"id"`
	Op     string          `json:"op"`
	On     string          `json:"on"`
	As     string          `json:"as"`
	Args   json.RawMessage `json:"args"`
	Cancel *int            `json:"cancel"`
}

// adapter is the state of one conversation.
type adapter struct {
	output sync.Mutex

	mutex   sync.Mutex
	handles map[string]any
	homes   map[string]string
	cancels map[int]context.CancelFunc
}

// made is the answer of an operation that makes a handle.
type made struct {
	handle any
	answer any
}

// adapterError is what goes wrong here, and not in what is tested.
type adapterError struct{ text string }

func (e adapterError) Error() string { return e.text }

func wrong(format string, arguments ...any) error {
	return adapterError{fmt.Sprintf(format, arguments...)}
}

func main() {
	a := &adapter{handles: map[string]any{}, homes: map[string]string{}, cancels: map[int]context.CancelFunc{}}
	a.say(map[string]any{"hello": map[string]any{
		"protocol": 1, "surface": "go", "version": boxlite.LibraryVersion(),
		"capabilities": []string{"progress", "cancel", "close_handle", "identity", "gc", "main", "tty", "vm"},
	}})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytesMax)
	for lines.Scan() {
		if len(lines.Bytes()) > 0 {
			a.take(lines.Bytes())
		}
	}
	// As a program that forgets to close anything does, it just ends.
}

func (a *adapter) say(line any) {
	encoded, err := json.Marshal(line)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot say:", err)
		os.Exit(1)
	}
	a.output.Lock()
	defer a.output.Unlock()
	if _, err := os.Stdout.Write(append(encoded, '\n')); err != nil {
		// Nobody listens any more.
		os.Exit(0)
	}
}

// take begins one request.
func (a *adapter) take(line []byte) {
	var asked request
	if err := json.Unmarshal(line, &asked); err != nil {
		a.say(map[string]any{"id": nil, "adapter_error": err.Error()})
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if asked.Cancel != nil {
		if cancel := a.cancels[*asked.Cancel]; cancel != nil {
			cancel()
		}
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancels[asked.ID] = cancel
	go a.carryOut(ctx, asked)
}

func (a *adapter) carryOut(ctx context.Context, asked request) {
	answer, err := a.perform(ctx, asked)
	a.mutex.Lock()
	a.cancels[asked.ID]()
	delete(a.cancels, asked.ID)
	if result, ok := answer.(made); ok && err == nil {
		a.handles[asked.As] = result.handle
		answer = result.answer
	}
	a.mutex.Unlock()
	var here adapterError
	switch {
	case err == nil:
		a.say(map[string]any{"id": asked.ID, "ok": answer})
	case errors.As(err, &here):
		a.say(map[string]any{"id": asked.ID, "adapter_error": here.text})
	default:
		a.say(map[string]any{"id": asked.ID, "error": describeError(err)})
	}
}

func (a *adapter) perform(ctx context.Context, asked request) (any, error) {
	operation := operations[asked.Op]
	if operation == nil {
		return nil, wrong("there is no operation %q", asked.Op)
	}
	return operation(&call{adapter: a, request: asked}, ctx)
}

// describeError tells every field of an error.
func describeError(err error) map[string]any {
	var failure *boxlite.Error
	if !errors.As(err, &failure) {
		return map[string]any{"code": "Internal", "message": err.Error()}
	}
	described := map[string]any{
		"code": failure.Code.String(), "message": failure.Message, "operation": failure.Operation,
		"context": failure.Context, "retryable": failure.Retryable, "hint": failure.Hint, "source": nil,
	}
	if failure.Source != nil {
		described["source"] = failure.Source.Error()
	}
	return described
}

// Package testregistry starts an image registry on loopback that serves what a test tells it to, faults and gates
// included: the program `boxlite-testkit-registry` of the repository, whose REGISTRY.md describes the requests.
//
// It ends with the test. Nothing outside tests uses it.
package testregistry

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// Variable names the program.
const Variable = "BOXLITE_TEST_REGISTRY"

// Registry is a running registry.
type Registry struct {
	// Host is where it listens, as `127.0.0.1:PORT`.
	Host string

	t       testing.TB
	stdin   io.WriteCloser
	mutex   sync.Mutex
	last    int
	waiting map[int]chan reply
}

// Pushed is an image that the registry has.
type Pushed struct {
	Reference    string   `json:"reference"`
	Digest       string   `json:"digest"`
	ID           string   `json:"id"`
	ConfigDigest string   `json:"config_digest"`
	Layers       []string `json:"layers"`
	SizeBytes    uint64   `json:"size_bytes"`
}

type reply struct {
	ID    int             `json:"id"`
	OK    json.RawMessage `json:"ok"`
	Error string          `json:"error"`
}

// Start runs a registry until the test is over.
func Start(t testing.TB) *Registry {
	t.Helper()
	program := os.Getenv(Variable)
	if program == "" {
		t.Skipf("%s does not name the program boxlite-testkit-registry; sdks/go/test.sh builds it", Variable)
	}
	command := exec.Command(program)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 64<<20)
	r := &Registry{t: t, stdin: stdin, waiting: map[int]chan reply{}}
	var greeting struct{ Host string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &greeting) != nil || greeting.Host == "" {
		t.Fatalf("the registry did not say where it listens: %q", lines.Text())
	}
	r.Host = greeting.Host
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.listen(lines)
	}()
	t.Cleanup(func() {
		// The program ends with its stdin.
		stdin.Close()
		<-ended
		_ = command.Wait()
	})
	return r
}

func (r *Registry) listen(lines *bufio.Scanner) {
	for lines.Scan() {
		var answer reply
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			answer = reply{Error: err.Error()}
		}
		r.mutex.Lock()
		if waiting := r.waiting[answer.ID]; waiting != nil {
			delete(r.waiting, answer.ID)
			waiting <- answer
		}
		r.mutex.Unlock()
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, waiting := range r.waiting {
		waiting <- reply{Error: "the registry has ended"}
	}
	r.waiting = nil
}

// ask carries out one request, and fails the test if the registry refuses it.
func (r *Registry) ask(into any, op string, fields map[string]any) {
	r.t.Helper()
	answered := make(chan reply, 1)
	r.mutex.Lock()
	r.last++
	request := map[string]any{"id": r.last, "op": op}
	for name, value := range fields {
		request[name] = value
	}
	line, err := json.Marshal(request)
	if err == nil && r.waiting == nil {
		err = fmt.Errorf("the registry has ended")
	}
	if err == nil {
		r.waiting[r.last] = answered
		_, err = r.stdin.Write(append(line, '\n'))
	}
	r.mutex.Unlock()
	if err != nil {
		r.t.Fatalf("registry: %s: %v", op, err)
	}
	answer := <-answered
	if answer.Error != "" {
		r.t.Fatalf("registry: %s: %s", op, answer.Error)
	}
	if into != nil {
		if err := json.Unmarshal(answer.OK, into); err != nil {
			r.t.Fatalf("registry: %s: %v", op, err)
		}
	}
}

// Push makes an image and serves it under a name, as `app:1`.
func (r *Registry) Push(name string, image map[string]any) Pushed {
	r.t.Helper()
	var pushed Pushed
	r.ask(&pushed, "push", map[string]any{"name": name, "image": image})
	return pushed
}

// Rule makes responses to a target faulty from now on.
func (r *Registry) Rule(on any, faults ...any) {
	r.t.Helper()
	r.ask(nil, "rule", map[string]any{"rule": map[string]any{"on": on, "faults": faults}})
}

// Heal makes the registry honest again; what is held at a gate stays there.
func (r *Registry) Heal() {
	r.t.Helper()
	r.ask(nil, "heal", nil)
}

// HoldHead is the fault of a response that waits at a gate before its first byte.
func HoldHead(gate string) any { return map[string]any{"hold_head": gate} }

// HoldAfter is the fault of a response that waits at a gate after some bytes of its body.
func HoldAfter(bytes int, gate string) any {
	return map[string]any{"hold_after": []any{bytes, gate}}
}

// WaitForGate waits until so many responses are held at a gate.
func (r *Registry) WaitForGate(gate string, count int) {
	r.t.Helper()
	r.ask(nil, "gate_reached", map[string]any{"gate": gate, "count": count})
}

// WaitForAbandoned waits until a client has hung up on a response that is held at a gate.
func (r *Registry) WaitForAbandoned(gate string) {
	r.t.Helper()
	r.ask(nil, "gate_abandoned", map[string]any{"gate": gate})
}

// OpenGate lets what is held go on, and what comes later pass.
func (r *Registry) OpenGate(gate string) {
	r.t.Helper()
	r.ask(nil, "gate_open", map[string]any{"gate": gate})
}

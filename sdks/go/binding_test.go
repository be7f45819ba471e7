package boxlite_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/boxlite-ai/boxlite/sdks/go"
)

// notBound are the functions of the header that this package has no use for, with the reason.
var notBound = map[string]string{
	"boxlite_error_message":      "read from boxlite_error_json",
	"boxlite_error_operation":    "read from boxlite_error_json",
	"boxlite_error_hint":         "read from boxlite_error_json",
	"boxlite_error_retryable":    "read from boxlite_error_json",
	"boxlite_error_context":      "read from boxlite_error_json",
	"boxlite_status_name":        "error_codes.go is generated from the same table",
	"boxlite_operation_fd":       "all operations share one queue, whose descriptor Go's poller watches",
	"boxlite_operation_is_done":  "the queue tells",
	"boxlite_operation_progress": "WithProgress passes on the events behind these numbers",
	"boxlite_box_id":             "read from the JSON of the operation that gave the handle",
	"boxlite_execution_id":       "read from the JSON of the operation that gave the handle",
	"boxlite_execution_box_id":   "read from the JSON of the operation that gave the handle",
	"boxlite_execution_pid":      "read from the JSON of the operation that gave the handle",
	"boxlite_writer_close":       "freeing a writer ends it, and needs no waiting",
}

// notBoundPrefixes are whole families of such functions.
var notBoundPrefixes = map[string]string{
	"boxlite_result_":           "results are read as JSON, except for the bytes that a command printed",
	"boxlite_box_options_set_":  "options are set as JSON",
	"boxlite_box_options_add_":  "options are set as JSON",
	"boxlite_exec_options_set_": "options are set as JSON",
}

func header(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("include", "boxlite.h"))
	must(t, err)
	comments := regexp.MustCompile(`(?s)/\*.*?\*/`)
	return comments.ReplaceAllString(string(text), "")
}

// declared are the functions of the header, without the inline ones.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	functions := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^[a-z][^;{}#=]*?\b(boxlite_\w+)\([^;{}]*\);`).FindAllStringSubmatch(header(t), -1) {
		functions[match[1]] = true
	}
	return functions
}

// used are the C names in this package's sources.
func used(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, match := range regexp.MustCompile(`\bC\.(boxlite_\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names[match[1]] = true
		}
	}
	return names
}

func TestEveryFunctionOfTheHeaderIsBoundOrSaysWhyNot(t *testing.T) {
	functions, bound := declared(t), used(t)
	if len(functions) < 40 || len(bound) < 30 {
		t.Fatalf("%d functions, %d bound: this test does not see what is there", len(functions), len(bound))
	}
	family := func(name string) bool {
		for prefix := range notBoundPrefixes {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		if _, excused := notBound[name]; !bound[name] && !excused && !family(name) {
			t.Errorf("%s is not bound, and nothing says why", name)
		}
	}
	for name := range bound {
		if !functions[name] {
			t.Errorf("%s is called, but the header does not have it", name)
		}
	}
	for name := range notBound {
		if bound[name] || !functions[name] {
			t.Errorf("%s needs no excuse", name)
		}
	}
}

func TestErrorCodesAreThoseOfTheHeader(t *testing.T) {
	word := regexp.MustCompile(`[A-Z][a-z]*`)
	statuses := regexp.MustCompile(`(?s)enum boxlite_status.*?\n};`).FindString(header(t))
	matches := regexp.MustCompile(`BOXLITE_(\w+) = (\d+),`).FindAllStringSubmatch(statuses, -1)
	if len(matches) < 20 {
		t.Fatalf("found %d", len(matches))
	}
	for _, match := range matches {
		number, err := strconv.Atoi(match[2])
		must(t, err)
		if number == 0 {
			continue
		}
		name := boxlite.ErrorCode(number).String()
		if strings.ToUpper(strings.Join(word.FindAllString(name, -1), "_")) != match[1] {
			t.Errorf("%d is %s here, and %s in the header", number, name, match[1])
		}
	}
}

func TestTheLibraryIsTheOneOfThisHeader(t *testing.T) {
	version := regexp.MustCompile(`#define BOXLITE_VERSION "(.*)"`).FindStringSubmatch(header(t))
	if version == nil || boxlite.LibraryVersion() != version[1] || !strings.HasPrefix(boxlite.LibraryBuild(), version[1]+"+") {
		t.Errorf("got %q, %q; the header has %q", boxlite.LibraryVersion(), boxlite.LibraryBuild(), version)
	}
}

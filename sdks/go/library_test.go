package boxlite

import (
	"strings"
	"testing"
)

func TestALibraryOfAnotherVersionIsRefusedBeforeItIsUsed(t *testing.T) {
	if err := checkLibrary(); err != nil {
		t.Fatal(err)
	}
	check := func(interfaceVersion uint32, version, says string) {
		t.Helper()
		err := compareLibrary(interfaceVersion, version, version+"+0123456789abcdef")
		if !IsUnsupported(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v", err)
		}
	}
	check(99, LibraryVersion(), "with interface 99, but its header is "+LibraryVersion())
	check(1, "99.0.0", "is build 99.0.0+0123456789abcdef with interface 1")
}

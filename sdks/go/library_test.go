package boxlite

import (
	"strings"
	"testing"
)

func TestALibraryOfAnotherVersionIsRefusedBeforeItIsUsed(t *testing.T) {
	if err := checkLibrary(); err != nil {
		t.Fatal(err)
	}
	check := func(interfaceVersion uint32, build, says string) {
		t.Helper()
		err := compareLibrary(interfaceVersion, build)
		if !IsUnsupported(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v", err)
		}
	}
	check(99, LibraryBuild(), "with interface 99, but its header is of build "+LibraryBuild())
	check(1, "99.0.0+0123456789abcdef", "is build 99.0.0+0123456789abcdef with interface 1")
	check(1, LibraryVersion()+"+0123456789abcdef", "but its header is of build "+LibraryBuild())
}

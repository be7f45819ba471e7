package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlatformsThatAreNotSupportedAreNamed(t *testing.T) {
	check := func(goos, goarch, expect string) {
		name, err := platformName(goos, goarch)
		if expect == "" {
			if !errors.Is(err, errPlatform) || !strings.Contains(err.Error(), goos+"/"+goarch) {
				t.Errorf("%s/%s: got %q, %v", goos, goarch, name, err)
			}
		} else if name != expect || err != nil {
			t.Errorf("%s/%s: got %q, %v", goos, goarch, name, err)
		}
	}
	check("linux", "amd64", "linux-amd64")
	check("linux", "arm64", "linux-arm64")
	check("darwin", "arm64", "darwin-arm64")
	check("darwin", "amd64", "")
	check("windows", "amd64", "")
	check("linux", "riscv64", "")
}

func TestChecksumsAreReadAsSha256sumPrintsThem(t *testing.T) {
	one, two, three := string(sum([]byte("1"))), string(sum([]byte("2"))), string(sum([]byte("3")))
	pins, err := parsePins("# comment\n\n" + one + "  boxlite-c-v1.0.0-rc-1-darwin-arm64.tar.gz\n" +
		strings.ToUpper(two) + " *boxlite-c-v1.0.0-rc-1-darwin-arm64/lib/libboxlite.a\n" +
		three + "  boxlite-c-v1.0.0-rc-1-darwin-arm64/include/boxlite.h\n" + one + "  something-else.tar.gz\n")
	must(t, err)
	expect := archivePin{"boxlite-c-v1.0.0-rc-1-darwin-arm64.tar.gz", sha256Hex(one), sha256Hex(two), sha256Hex(three)}
	if len(pins) != 1 || pins["darwin-arm64"] != expect {
		t.Fatalf("got %v", pins)
	}
	if version := expect.version("darwin-arm64"); version != "v1.0.0-rc-1" {
		t.Fatalf("got %q", version)
	}
	for _, malformed := range []string{"x  y", one, one + "00  " + testArchive, one + " a b"} {
		if _, err := parsePins(malformed); !errors.Is(err, errNoPin) {
			t.Errorf("%q: got %v", malformed, err)
		}
	}
}

func TestTheFileInTheModuleCanBeRead(t *testing.T) {
	if _, err := parsePins(pinnedChecksums); err != nil {
		t.Fatal(err)
	}
}

func TestTheArchiveIsTakenFromWhereTheEnvironmentSays(t *testing.T) {
	directory := t.TempDir()
	file := filepath.Join(directory, "mine.tar.gz")
	must(t, os.WriteFile(file, nil, 0o644))
	pins := map[string]archivePin{"linux-amd64": {name: testArchive, archive: sum(nil)}}
	check := func(location, sha, place string, kind error) {
		t.Helper()
		got, err := chooseArtifact(pins, "linux-amd64", location, sha)
		if kind != nil {
			if !errors.Is(err, kind) {
				t.Errorf("%q %q: got %v, %v", location, sha, got, err)
			}
		} else if err != nil || got.place() != place {
			t.Errorf("%q %q: got %v, %v", location, sha, got, err)
		}
	}
	check("", "", "https://"+strings.TrimSuffix(modulePath, "sdks/go")+"releases/download/v0.9.0/"+testArchive, nil)
	check(file, "", file, nil)
	check("file://"+file, "", file, nil)
	check(directory, "", filepath.Join(directory, testArchive), nil)
	check("http://localhost/x.tar.gz?a=b", "", "http://localhost/x.tar.gz?a=b", nil)
	check("https://localhost/mirror/", "", "https://localhost/mirror/"+testArchive, nil)
	check(filepath.Join(directory, "absent"), "", "", errFetch)
	check("", string(sum(nil)), "", errUsage)
	check(file, "abc", "", errUsage)
	check(file, string(sum(nil)), file, nil)

	pins = nil
	check(file, "", "", errNoPin)
	check("", "", "", errNoPin)
	check(file, string(sum(nil)), file, nil)
	check(directory, string(sum(nil)), "", errUsage)
	check("http://localhost/mirror", string(sum(nil)), "", errUsage)
}

func TestADownloadIsVerifiedAndItsRefusalSaysWhy(t *testing.T) {
	archive := pack(t, goodMembers())
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/"+testArchive {
			http.NotFound(answer, request)
			return
		}
		_, _ = answer.Write(archive)
	}))
	defer server.Close()
	wanted := artifact{pin: pinOf(archive, goodMembers()), url: server.URL + "/" + testArchive}
	fetched, err := wanted.fetch(context.Background(), io.Discard)
	must(t, err)
	defer fetched.Close()
	got, err := io.ReadAll(fetched)
	if err != nil || string(got) != string(archive) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	wanted.url = server.URL + "/absent"
	if _, err = wanted.fetch(context.Background(), io.Discard); !errors.Is(err, errFetch) || !strings.Contains(err.Error(), "404") {
		t.Fatalf("got %v", err)
	}
	server.Close()
	if _, err = wanted.fetch(context.Background(), io.Discard); !errors.Is(err, errFetch) {
		t.Fatalf("got %v", err)
	}
}

func TestSettingsKeepWhatIsSetAndSurviveTheShell(t *testing.T) {
	check := func(prefix, cFlags, ldFlags, expect string) {
		t.Helper()
		var printed strings.Builder
		must(t, printSettings(&printed, prefix, cFlags, ldFlags))
		if printed.String() != expect {
			t.Errorf("got %s", printed.String())
		}
	}
	check("/opt/b", "", "", "export CGO_CFLAGS='-O2 -g -I/opt/b/include'\nexport CGO_LDFLAGS='-O2 -g -L/opt/b/lib'\n")
	check("/a b", "-O1", "-s", "export CGO_CFLAGS='-O1 \"-I/a b/include\"'\nexport CGO_LDFLAGS='-s \"-L/a b/lib\"'\n")
	check("/b", "-I/b/include", "-L/b/lib", "export CGO_CFLAGS='-I/b/include'\nexport CGO_LDFLAGS='-L/b/lib'\n")
	if err := printSettings(io.Discard, "/it's", "", ""); !errors.Is(err, errUsage) {
		t.Errorf("got %v", err)
	}
}

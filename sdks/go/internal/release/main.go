// Command release makes what a release of this module is: the archive with the native library for one platform, the
// checksums that cmd/setup pins, and a file-based module proxy that serves the module with those checksums in it.
//
//	go run ./internal/release -version v0.1.0 -stage DIR -out DIST
//
// Run once for each platform with the same -out, it adds to the checksums; the proxy always has all of them. The same
// input makes the same bytes. Publishing is not its business: dist.sh calls it, and the test of outside consumers uses
// what comes out.
package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"

	"github.com/boxlite-ai/boxlite/sdks/go/internal/modproxy"
)

const modulePath = "github.com/boxlite-ai/boxlite/sdks/go"

// members are what an archive holds, in this order.
var members = []string{"include/boxlite.h", "lib/libboxlite.a"}

func main() {
	version := flag.String("version", "", "version of the release, as `vX.Y.Z`")
	platform := flag.String("platform", runtime.GOOS+"-"+runtime.GOARCH, "platform of the library, as `os-arch`")
	stage := flag.String("stage", "", "`directory` with include/boxlite.h and lib/libboxlite.a")
	out := flag.String("out", "", "`directory` the release goes to")
	root := flag.String("module", ".", "`directory` of go.mod")
	flag.Parse()
	if !strings.HasPrefix(*version, "v") || *stage == "" || *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := release(*version, *platform, *stage, *out, *root); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func release(version, platform, stage, out, root string) error {
	stem := "boxlite-c-" + version + "-" + platform
	sums := map[string]string{}
	if err := writeArchive(filepath.Join(out, stem+".tar.gz"), stem, stage, sums); err != nil {
		return err
	}
	checksums, err := mergeChecksums(filepath.Join(out, "checksums.txt"), version, stem, sums)
	if err != nil {
		return err
	}
	module := modproxy.Module{
		Path: modulePath, Version: version, Root: root,
		Replace: map[string][]byte{"cmd/setup/checksums.txt": checksums},
	}
	return module.Write(filepath.Join(out, "proxy"))
}

// writeArchive packs the members, and notes the checksums of the archive and of what is in it.
func writeArchive(name, stem, stage string, sums map[string]string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	whole := sha256.New()
	deflated := gzip.NewWriter(io.MultiWriter(file, whole))
	archive := tar.NewWriter(deflated)
	for _, member := range members {
		sum, err := addMember(archive, member, filepath.Join(stage, filepath.FromSlash(member)))
		if err != nil {
			return err
		}
		sums[stem+"/"+member] = sum
	}
	for _, closer := range []io.Closer{archive, deflated, file} {
		if err := closer.Close(); err != nil {
			return err
		}
	}
	sums[stem+".tar.gz"] = hex.EncodeToString(whole.Sum(nil))
	return nil
}

func addMember(archive *tar.Writer, member, name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: member, Size: info.Size(), Mode: 0o644, Format: tar.FormatUSTAR}
	if err := archive.WriteHeader(header); err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(archive, hash), file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// mergeChecksums replaces the lines of one archive in a file of checksums, and drops those of other versions.
func mergeChecksums(name, version, stem string, sums map[string]string) ([]byte, error) {
	known, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(known)) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue
		}
		archive := strings.TrimSuffix(strings.SplitN(fields[1], "/", 2)[0], ".tar.gz")
		if archive != stem && strings.HasPrefix(archive, "boxlite-c-"+version+"-") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	for member, sum := range sums {
		lines = append(lines, sum+"  "+member)
	}
	sort.Slice(lines, func(i, j int) bool { return strings.Fields(lines[i])[1] < strings.Fields(lines[j])[1] })
	checksums := []byte(strings.Join(lines, "\n") + "\n")
	return checksums, os.WriteFile(name, checksums, 0o644)
}

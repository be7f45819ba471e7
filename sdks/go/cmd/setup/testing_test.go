package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

const (
	testArchive = "boxlite-c-v0.9.0-linux-amd64.tar.gz"
	testStem    = "boxlite-c-v0.9.0-linux-amd64"
)

// goodMembers are those of a whole archive, as small as one can be.
func goodMembers() map[string]string {
	return map[string]string{libraryMember: "!<arch>\nlibrary", headerMember: "/* header */", "README": "more"}
}

func sum(content []byte) sha256Hex {
	digest := sha256.Sum256(content)
	return sha256Hex(hex.EncodeToString(digest[:]))
}

// pack makes an archive of members.
func pack(t testing.TB, members map[string]string) []byte {
	t.Helper()
	var packed bytes.Buffer
	deflated := gzip.NewWriter(&packed)
	writer := tar.NewWriter(deflated)
	for name, content := range members {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644}
		must(t, writer.WriteHeader(header))
		_, err := writer.Write([]byte(content))
		must(t, err)
	}
	must(t, writer.Close())
	must(t, deflated.Close())
	return packed.Bytes()
}

// pinOf pins an archive that holds these members.
func pinOf(archive []byte, members map[string]string) archivePin {
	return archivePin{
		name:    testArchive,
		archive: sum(archive),
		library: sum([]byte(members[libraryMember])),
		header:  sum([]byte(members[headerMember])),
	}
}

// fileArtifact is an archive in a file of its own.
func fileArtifact(t testing.TB, members map[string]string) artifact {
	t.Helper()
	archive := pack(t, members)
	file := filepath.Join(t.TempDir(), testArchive)
	must(t, os.WriteFile(file, archive, 0o644))
	return artifact{pin: pinOf(archive, members), file: file}
}

// readOnlyModule makes a directory as the module cache has them.
func readOnlyModule(t testing.TB) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "go@v0.9.0")
	must(t, os.MkdirAll(filepath.Join(root, "cmd"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module m\n"), 0o444))
	must(t, os.Chmod(filepath.Join(root, "cmd"), 0o555))
	must(t, os.Chmod(root, 0o555))
	t.Cleanup(func() { makeRemovable(root) })
	return root
}

// makeRemovable lets the test's own cleanup delete a read-only tree.
func makeRemovable(root string) {
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return nil
	})
}

// snapshot describes every file of a tree, with its mode and contents.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		content := []byte{}
		if entry.Type().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		found[relative] = info.Mode().String() + " " + string(content)
		return nil
	}))
	return found
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

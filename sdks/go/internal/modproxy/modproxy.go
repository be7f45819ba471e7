// Package modproxy makes a module proxy out of files: a directory that serves one version of a module to the go command
// as GOPROXY=file://..., by the layout of the module reference ("GOPROXY protocol", "Module zip files").
//
// It is how a release is tried before it is published: what is in the proxy is all that an outside program gets to see.
// It does not check the rules for module paths and file names: the go command refuses a zip that breaks them.
package modproxy

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Module is one version of a module.
type Module struct {
	Path    string
	Version string
	// Root is the directory of its go.mod.
	Root string
	// Replace gives files other contents than the directory has, by slash-separated path from the root.
	Replace map[string][]byte
}

// Write puts the module into a proxy directory. Other versions that are in it already stay.
func (m Module) Write(proxy string) error {
	directory := filepath.Join(proxy, filepath.FromSlash(m.Path), "@v")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	contents, err := m.zip()
	if err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": m.Version, "Time": time.Unix(0, 0).UTC()})
	if err != nil {
		return err
	}
	description, err := os.ReadFile(filepath.Join(m.Root, "go.mod"))
	if err != nil {
		return err
	}
	for extension, content := range map[string][]byte{"zip": contents, "info": info, "mod": description} {
		if err := os.WriteFile(filepath.Join(directory, m.Version+"."+extension), content, 0o644); err != nil {
			return err
		}
	}
	return m.addToList(filepath.Join(directory, "list"))
}

func (m Module) addToList(name string) error {
	list, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, version := range strings.Fields(string(list)) {
		if version == m.Version {
			return nil
		}
	}
	return os.WriteFile(name, append(list, m.Version+"\n"...), 0o644)
}

// zip packs the files a commit of the module has.
func (m Module) zip() ([]byte, error) {
	var packed bytes.Buffer
	writer := zip.NewWriter(&packed)
	err := filepath.WalkDir(m.Root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(m.Root, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		// What setup installed here is no part of the module.
		if name == "include" {
			return filepath.SkipDir
		}
		if !entry.Type().IsRegular() || name == "libboxlite.a" {
			return nil
		}
		content, replaced := m.Replace[name]
		if !replaced {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		file, err := writer.Create(fmt.Sprintf("%s@%s/%s", m.Path, m.Version, name))
		if err != nil {
			return err
		}
		_, err = file.Write(content)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

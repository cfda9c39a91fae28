// Package pack makes the files that the lab serves in place of the remotes:
// Helm chart repositories and OCI artefacts, from the files of Go modules.
package pack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"time"
)

// ManifestFile is the name of the list of what a pack holds, at its root.
const ManifestFile = "pack.json"

// Module is a Go module on disk, with the fields that `go mod download -json`
// prints.
type Module struct {
	Path    string // for example go.universe.tf/metallb
	Version string // with its v
	Info    string // file with the time of the version
	Dir     string // the module's files
	Sum     string // h1 sum of the files
	Error   string // why the module could not be had
}

// Manifest says what a pack holds and what it was made from.
type Manifest struct {
	Modules   []Source   `json:"modules"`
	Charts    []Chart    `json:"charts"`
	Artifacts []Artifact `json:"artifacts"`
	LeftOut   []LeftOut  `json:"leftOut"`
}

// Source is a Go module whose files were packed.
type Source struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum"`
}

// Chart is one Helm chart; its repository is the folder charts/<name>.
type Chart struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	File    string `json:"file"`   // slash-separated, relative to the pack
	Digest  string `json:"digest"` // sha256, hex
}

// Artifact is one OCI artefact, in the image layout registries/<host>.
type Artifact struct {
	Reference string   `json:"reference"`
	Digest    string   `json:"digest"` // of the OCI manifest
	Images    []string `json:"images"` // that its manifests name, sorted
}

// LeftOut is something that upstream's release holds and the pack does not.
type LeftOut struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// ReadModules reads the output of one or more runs of `go mod download -json`.
// A module that could not be had is an error.
func ReadModules(r io.Reader) ([]Module, error) {
	var modules []Module
	decoder := json.NewDecoder(r)
	for {
		var m Module
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return modules, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the modules: %w", err)
		}
		if m.Error != "" {
			return nil, fmt.Errorf("module %s %s: %s", m.Path, m.Version, m.Error)
		}
		if m.Path == "" || m.Version == "" || m.Dir == "" {
			return nil, fmt.Errorf("module %q has no path, version or folder: pass the output of `go mod download -json`", m.Path)
		}
		modules = append(modules, m)
	}
}

// Write packs the modules into the folder out, which appears whole or not at
// all and takes the place of an earlier pack. The same modules give the same
// bytes.
func Write(out string, modules []Module, log *slog.Logger) (Manifest, error) {
	if err := replaceable(out); err != nil {
		return Manifest{}, err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return Manifest{}, fmt.Errorf("making room for the pack: %w", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(out), ".pack-")
	if err != nil {
		return Manifest{}, fmt.Errorf("making room for the pack: %w", err)
	}
	defer os.RemoveAll(work)

	content := filepath.Join(work, "content")
	manifest, err := write(content, filepath.Join(work, "scratch"), moduleSet(modules), log)
	if err != nil {
		return Manifest{}, err
	}
	if err := os.RemoveAll(out); err != nil {
		return Manifest{}, fmt.Errorf("removing the earlier pack: %w", err)
	}
	if err := os.Rename(content, out); err != nil {
		return Manifest{}, fmt.Errorf("moving the pack into place: %w", err)
	}
	return manifest, nil
}

func write(content, scratch string, modules set, log *slog.Logger) (Manifest, error) {
	for _, dir := range []string{content, scratch} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return Manifest{}, err
		}
	}
	used := set{}
	manifest := Manifest{LeftOut: []LeftOut{}}
	for _, source := range chartSources() {
		module, err := modules.get(source.module)
		if err != nil {
			return Manifest{}, err
		}
		used[module.Path] = module
		chart, err := writeChart(content, module, source.dir, log)
		if err != nil {
			return Manifest{}, fmt.Errorf("packing the chart of %s %s: %w", module.Path, module.Version, err)
		}
		manifest.Charts = append(manifest.Charts, chart)
	}

	flux, err := writeFlux(content, scratch, modules, used, log)
	if err != nil {
		return Manifest{}, fmt.Errorf("packing the manifests of Flux: %w", err)
	}
	manifest.Artifacts = append(manifest.Artifacts, flux.artifact)
	manifest.LeftOut = append(manifest.LeftOut, flux.leftOut...)

	for _, m := range used {
		manifest.Modules = append(manifest.Modules, Source{Path: m.Path, Version: m.Version, Sum: m.Sum})
	}
	sort.Slice(manifest.Modules, func(i, j int) bool { return manifest.Modules[i].Path < manifest.Modules[j].Path })

	data, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return Manifest{}, err
	}
	return manifest, os.WriteFile(filepath.Join(content, ManifestFile), append(data, '\n'), 0o644)
}

// replaceable refuses to delete a folder that holds something else.
func replaceable(out string) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the output folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(out, ManifestFile)); err != nil {
		return fmt.Errorf("%s is not empty and holds no earlier pack: name another folder", out)
	}
	return nil
}

// set holds modules by their path without its major version suffix.
type set map[string]Module

func moduleSet(modules []Module) set {
	s := set{}
	for _, m := range modules {
		s[withoutMajor(m.Path)] = m
	}
	return s
}

func (s set) get(path string) (Module, error) {
	m, ok := s[path]
	if !ok {
		return Module{}, fmt.Errorf("module %s is missing: add it to what `go mod download -json` downloads", path)
	}
	return m, nil
}

func withoutMajor(path string) string {
	return regexp.MustCompile(`/v[0-9]+$`).ReplaceAllString(path, "")
}

// released returns the time that the module proxy gives for the version, which
// stands in for the time of packing so that the same modules give the same bytes.
func (m Module) released() (time.Time, error) {
	data, err := os.ReadFile(m.Info)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading when %s %s was released: %w", m.Path, m.Version, err)
	}
	var info struct{ Time time.Time }
	if err := json.Unmarshal(data, &info); err != nil {
		return time.Time{}, fmt.Errorf("reading when %s %s was released: %w", m.Path, m.Version, err)
	}
	return info.Time.UTC(), nil
}

// Package labtest gives tests the real modules whose files the lab serves.
package labtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"archipel/lab/internal/pack"
)

// FluxModules lists the modules that lab/go.mod pins and whose files are packed
// too.
func FluxModules() []string {
	return []string{
		"github.com/fluxcd/flux2/v2",
		"github.com/fluxcd/helm-controller",
		"github.com/fluxcd/kustomize-controller",
		"github.com/fluxcd/notification-controller",
		"github.com/fluxcd/source-controller",
	}
}

// Modules resolves every module that is packed, with the two commands that
// lab/manifests/README.md gives, and checks that they verify what they download
// and write nothing.
func Modules(t *testing.T) []pack.Module {
	t.Helper()
	lab, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	modules := download(t, filepath.Join(lab, "manifests"))
	return append(modules, download(t, lab, FluxModules()...)...)
}

func download(t *testing.T, dir string, modules ...string) []pack.Module {
	t.Helper()
	before := read(t, dir)
	command := exec.Command("go", append([]string{"mod", "download", "-json"}, modules...)...)
	command.Dir = dir
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go mod download in %s: %v\n%s%s", dir, err, output, &stderr)
	}
	found, err := pack.ReadModules(bytes.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	if after := read(t, dir); after != before {
		t.Fatalf("go mod download changed go.mod or go.sum in %s", dir)
	}
	for _, m := range found {
		if !strings.Contains(before, m.Path+" "+m.Version+" "+m.Sum+"\n") {
			t.Errorf("%s: go.sum does not hold the sum of %s %s: nothing verifies its files", dir, m.Path, m.Version)
		}
	}
	return found
}

func read(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

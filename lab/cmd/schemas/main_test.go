package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const written = "../../../internal/schema/openapi"

// TestUpToDate writes the file of the lab's own Kubernetes anew: its module is there wherever
// the lab was built.
func TestUpToDate(t *testing.T) {
	command := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes")
	command.Dir = "../.."
	modules, err := command.Output()
	if err != nil {
		t.Skipf("the module k8s.io/kubernetes cannot be had: %v", err)
	}
	var first []byte
	for range 2 {
		dir := t.TempDir()
		if err := run([]string{"--out", dir}, bytes.NewReader(modules), io.Discard); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		got, want := unpack(t, files[0]), unpack(t, filepath.Join(written, filepath.Base(files[0])))
		if !bytes.Equal(got, want) {
			t.Fatalf("%s is not what its module says: make schemas writes it anew", filepath.Base(files[0]))
		}
		packed, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, packed) {
			t.Error("twice the same module gives different bytes")
		}
		first = packed
	}
}

// TestMakefile compares the versions that make schemas asks for with those in the files.
func TestMakefile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(written, "*.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	var versions []string
	for _, file := range files {
		line, _, _ := strings.Cut(string(unpack(t, file)), "\n")
		versions = append(versions, strings.TrimPrefix(line, "kubernetes "))
	}
	makefile, err := os.ReadFile("../../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\nkubernetes := " + strings.Join(versions, " ") + "\n"; !strings.Contains(string(makefile), want) {
		t.Errorf("the Makefile lacks %q", want)
	}
}

func unpack(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRefusals(t *testing.T) {
	bad, err := json.Marshal(map[string]string{"Path": "k8s.io/kubernetes", "Version": "v1.36.0", "Dir": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		input string
		usage bool
	}{
		{nil, "", true},
		{[]string{"--out", "x", "y"}, "", true},
		{[]string{"--nothing"}, "", true},
		{[]string{"--out", t.TempDir()}, "{", false},
		{[]string{"--out", t.TempDir()}, `{"Path": "a", "Error": "not found"}`, false},
		{[]string{"--out", t.TempDir()}, string(bad), false},
	} {
		err := run(c.args, strings.NewReader(c.input), io.Discard)
		if err == nil || errors.Is(err, errUsage) != c.usage {
			t.Errorf("%v %s: %v", c.args, c.input, err)
		}
	}
}

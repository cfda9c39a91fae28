package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Generated compares a generated file with what it must hold, and writes it
// first when update is set.
func Generated(t *testing.T, file string, want []byte, update bool) {
	t.Helper()
	if update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: make generate writes it", err)
	}
	if string(got) == string(want) {
		return
	}
	old, fresh := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	line := 0
	for line < min(len(old), len(fresh))-1 && old[line] == fresh[line] {
		line++
	}
	t.Errorf("%s is not up to date: make generate writes it; it differs from line %d:\n-%s\n+%s", file, line+1, old[line], fresh[line])
}

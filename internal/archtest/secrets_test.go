package archtest

import (
	"os"
	"slices"
	"testing"

	"archipel/internal/guard"
	"archipel/internal/policy"
)

// TestNoPlaintext holds the tree to what archipel secret check holds it to. A test that
// needs a text like a key builds it from parts.
func TestNoPlaintext(t *testing.T) {
	accepted, found := policy.Load(os.DirFS(checkout))
	for _, f := range found {
		t.Errorf("%s: %s", f.Position.File, f.Message)
	}
	for _, name := range treeFiles(t) {
		for _, f := range guard.Content(name, []byte(readTree(t, name))) {
			ignores := func(i policy.Ignore) bool { return i.Matches(f.Rule, name, "") }
			if !slices.ContainsFunc(accepted.Ignores, ignores) {
				t.Errorf("%s:%d:%d: %s [%s]: %s", name, f.Position.Line, f.Position.Column, f.Message, f.Rule, f.Fix)
			}
		}
	}
}

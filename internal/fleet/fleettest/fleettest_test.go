package fleettest

import (
	"os"
	"testing"

	"archipel/internal/fleet"
)

func TestGenerate(t *testing.T) {
	for _, n := range []int{1, 65} {
		dir := t.TempDir()
		if err := Generate(dir, "../../..", n); err != nil {
			t.Fatal(err)
		}
		f, findings := fleet.Load(os.DirFS(dir))
		if len(f.Sites) != n || len(findings) > 0 {
			t.Errorf("%d sites, findings %v", len(f.Sites), findings)
		}
	}
	if Generate(t.TempDir(), "../../..", MaxSites+1) == nil {
		t.Error("more sites than a mesh holds")
	}
}

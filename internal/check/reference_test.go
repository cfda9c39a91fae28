package check

import (
	"path/filepath"
	"testing"

	"archipel/internal/archtest"
)

func TestGeneratedRules(t *testing.T) {
	archtest.Generated(t, filepath.Join("..", "..", "docs", "reference", "rules.md"), []byte(Reference()), *update)
}

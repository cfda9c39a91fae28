package check

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"archipel/internal/derive"
	"archipel/internal/finding"
)

// derivedFile is what a site's derived file must be.
type derivedFile struct {
	derive.File
	err error
}

// stale reports the derived file of a site when it is not what the inventories say: because
// of the peers of the mesh alone, or of something else.
func (s *Site) stale(peers bool) []finding.Finding {
	if s.shared.broken {
		s.Skip("derived-files-unknown", "derived files cannot be compared with inventories that have errors: repair those first")
		return nil
	}
	type key struct{ site string }
	file := once(s.Fleet, key{s.Site.Name}, func() derivedFile {
		file, err := derive.Site(s.Fleet.Fleet, s.Site)
		return derivedFile{file, err}
	})
	if file.err != nil {
		s.Skip("derived-files-unknown", "derived files cannot be computed: "+file.err.Error())
		return nil
	}
	current, err := s.Read(file.Path)
	at := finding.Position{File: file.Path}
	what := "the file is missing"
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil // which has its own finding
	case err == nil && bytes.Equal(current, file.Content):
		return nil
	case err == nil:
		at.Column = 1
		at.Line, at.Width = differs(string(current), string(file.Content))
		what = "the file is not what the inventories say"
	}
	if (at.Line > peersFrom(string(file.Content))) != peers {
		return nil
	}
	return []finding.Finding{problem(at, "archipel site sync writes it", "%s", what)}
}

// differs returns the first line in which a text is not what is wanted.
func differs(text, wanted string) (line, width int) {
	have, want := strings.Split(text, "\n"), strings.Split(wanted, "\n")
	for i, l := range have {
		if i >= len(want) || l != want[i] {
			return i + 1, max(len(l), 1)
		}
	}
	return len(have), 1
}

// peersFrom returns the line after which a derived file names the peers.
func peersFrom(text string) int {
	before, _, found := strings.Cut(text, "\n---\n")
	if !found {
		panic(fmt.Sprintf("package derive writes two documents, but here is one: %q", text))
	}
	return strings.Count(before, "\n") + 1
}

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

// stale reports derived files that are not what the inventories say: those that differ in
// the peers of the mesh alone, or the others.
func (f *Fleet) stale(peers bool) []finding.Finding {
	if f.shared.broken {
		f.Skip("derived-files-unknown", "derived files cannot be compared with inventories that have errors: repair those first")
		return nil
	}
	var findings []finding.Finding
	for _, site := range f.Sites {
		if !f.HasDir(derive.Clusters + "/" + site.Name) {
			continue // which has its own finding
		}
		file, err := derive.Site(f.Fleet, site)
		if err != nil {
			f.Skip("derived-files-unknown", "derived files cannot be computed: "+err.Error())
			continue
		}
		current, err := f.Read(file.Path)
		at := finding.Position{File: file.Path}
		what := "the file is missing"
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			continue // which has its own finding
		case err == nil && bytes.Equal(current, file.Content):
			continue
		case err == nil:
			at.Column = 1
			at.Line, at.Width = differs(string(current), string(file.Content))
			what = "the file is not what the inventories say"
		}
		if (at.Line > peersFrom(string(file.Content))) != peers {
			continue
		}
		one := problem(at, "archipel site sync writes it", "%s", what)
		one.Sites = []string{site.Name}
		findings = append(findings, one)
	}
	return findings
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

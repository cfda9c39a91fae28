package check

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"archipel/internal/chart"
	"archipel/internal/derive"
	"archipel/internal/finding"
)

// Repair is a change of one file that is safe: what the file says stays the same, or is
// what a derived file or the lock must say.
type Repair struct {
	Path    string // slash-separated, relative to the repository's root
	Content []byte
	Done    []string // what changes, in words
}

// edit repairs what one rule finds in one file. It returns data itself when there is
// nothing to do after all.
type edit struct {
	rule, path string
	done       string
	apply      func(data []byte) []byte
}

// pins notes the versions of charts at a site that are ranges, but exact in the lock.
func (e *engine) pins(s *Site) {
	if e.lock == nil {
		return
	}
	for _, r := range s.Render.Releases {
		if r.Object == nil || r.Chart.Source == nil {
			continue
		}
		spec := mapAt(r.Object.Object, "spec", "chart", "spec")
		entry, locked := e.lock.Find(chart.Reference{Repository: strings.TrimSuffix(r.Chart.Source.URL, "/"), Name: textAt(spec, "chart"), Version: textAt(spec, "version")})
		at := s.At(r.Object, "spec", "chart", "spec", "version")
		if !locked || !exactVersion(entry.Resolved) || at.Line == 0 {
			continue
		}
		e.repair(edit{
			rule: "chart-version-floating", path: at.File, done: fmt.Sprintf("pinned %s to %s, as archipel.lock has it", textAt(spec, "chart"), entry.Resolved),
			apply: func(data []byte) []byte { return replaced(data, at, textAt(spec, "version"), entry.Resolved) },
		})
	}
}

// replaced writes another scalar in place of one that stands alone at a position.
func replaced(data []byte, at finding.Position, old, text string) []byte {
	lines := bytes.SplitAfter(data, []byte("\n"))
	if at.Line > len(lines) || at.Column < 1 || at.Column-1+at.Width > len(lines[at.Line-1]) {
		return data
	}
	line := lines[at.Line-1]
	if strings.Trim(string(line[at.Column-1:at.Column-1+at.Width]), `"'`) != old {
		return data // an alias, or something that is computed
	}
	lines[at.Line-1] = slices.Concat(line[:at.Column-1], []byte(text), line[at.Column-1+at.Width:])
	return bytes.Join(lines, nil)
}

func (e *engine) repair(one edit) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.edits = append(e.edits, one)
}

// texts are the repairs of how a YAML file is written. One that would change what the file
// says does nothing.
func texts(name string) []edit {
	same := func(change func([]byte) []byte) func([]byte) []byte {
		return func(data []byte) []byte {
			if changed := change(data); sameYAML(name, data, changed) {
				return changed
			}
			return data
		}
	}
	return []edit{
		{"yaml-byte-order-mark", name, "removed the byte order mark", func(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\ufeff")) }},
		{"yaml-line-ending", name, "ended lines with a line feed alone", same(func(data []byte) []byte { return bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")) })},
		{"yaml-trailing-space", name, "removed spaces at the end of lines", func(data []byte) []byte { return trimLines(name, data) }},
		{"yaml-final-newline", name, "ended the last line", same(func(data []byte) []byte { return slices.Concat(data, []byte("\n")) })},
	}
}

// trimLines removes spaces at the ends of the lines of which they are no text.
func trimLines(name string, data []byte) []byte {
	if all := repairLines(data, trimEnd); sameYAML(name, data, all) {
		return all
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	for i, line := range lines {
		trimmed := repairLines(line, trimEnd)
		if bytes.Equal(trimmed, line) {
			continue
		}
		lines[i] = trimmed
		if !sameYAML(name, data, bytes.Join(lines, nil)) {
			lines[i] = line
		}
	}
	return bytes.Join(lines, nil)
}

// repairs returns the repairs of what was found and is not ignored. Files that SOPS
// encrypts, links, and what lies behind a linked folder are left alone.
func (e *engine) repairs(findings []finding.Finding) []Repair {
	type key struct{ rule, path string }
	wanted := map[key]bool{}
	for _, f := range findings {
		wanted[key{f.Rule, f.Position.File}] = true
	}
	edits := slices.Clone(e.edits)
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.done, b.done)) })
	byFile := map[string][]edit{}
	for _, one := range edits {
		byFile[one.path] = append(byFile[one.path], one)
	}
	for _, f := range findings {
		name := f.Position.File
		switch {
		case f.Rule == "site-file-stale" || f.Rule == "mesh-peers-stale":
			site, ok := e.fleet.Fleet.Site(siteOf(name))
			if !ok {
				continue
			}
			byFile[name] = append(byFile[name], edit{f.Rule, name, "derived from the inventories", func(data []byte) []byte {
				file, err := derive.Site(e.fleet.Fleet, site)
				if err != nil {
					return data
				}
				return file.Content
			}})
		case f.Rule == "terraform-format":
			byFile[name] = append(byFile[name], edit{f.Rule, name, "formatted", FormatTerraform})
		}
	}
	written := map[string]bool{}
	for _, f := range findings {
		// After what counts on positions, and each file once.
		if name := f.Position.File; !written[name] && e.fleet.Parsed(name) != nil {
			written[name] = true
			byFile[name] = append(byFile[name], texts(name)...)
		}
	}
	var repairs []Repair
	for name, edits := range byFile {
		if sealed(name) || !e.fleet.HasDir(path.Dir(name)) && path.Dir(name) != "." || e.link(name) {
			continue
		}
		data, _ := e.fleet.Read(name) // a file that is missing is made
		repair := Repair{Path: name, Content: data}
		for _, one := range edits {
			if !wanted[key{one.rule, one.path}] {
				continue
			}
			if changed := one.apply(repair.Content); !bytes.Equal(changed, repair.Content) {
				repair.Content, repair.Done = changed, append(repair.Done, one.done)
			}
		}
		if len(repair.Done) > 0 {
			repairs = append(repairs, repair)
		}
	}
	slices.SortFunc(repairs, func(a, b Repair) int { return strings.Compare(a.Path, b.Path) })
	return repairs
}

// link reports whether a name is that of a symbolic link.
func (e *engine) link(name string) bool {
	_, err := fs.ReadLink(e.fleet.FS, name)
	return err == nil
}

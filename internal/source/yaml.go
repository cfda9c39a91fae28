package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
)

// Bounds on what one file may ask of its reader. Real files stay far below
// them; a hostile file meets them before it costs much.
const (
	MaxSize  = 1 << 20 // bytes of a file
	maxDepth = 64      // levels of nesting, aliases followed
	maxNodes = 1 << 19 // nodes of a document, aliases followed
)

// YAML is a file of YAML documents as its author wrote them: aliases, merge
// keys and tags are not resolved.
type YAML struct {
	Path      string       // slash-separated, relative to the repository's root
	Documents []*yaml.Node // root node of each document; an empty file has none
	lines     []string
}

// Read reads a file of at most MaxSize bytes. Only regular files are opened, so
// that a named pipe cannot stall the program.
func Read(repo fs.FS, path string) ([]byte, error) {
	info, err := fs.Stat(repo, path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := repo.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d KiB", MaxSize>>10)}
	}
	return data, nil
}

// ReadYAML reads and parses a file. The result is nil when the file is of no use.
func ReadYAML(repo fs.FS, path string) (*YAML, []finding.Finding) {
	data, err := Read(repo, path)
	if err != nil {
		return nil, []finding.Finding{Unreadable(path, err)}
	}
	return ParseYAML(path, data)
}

// Unreadable is the finding for a file or directory that cannot be read.
func Unreadable(path string, err error) finding.Finding {
	// The path is in the position already.
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return finding.Finding{
		Rule: "file-unreadable", Severity: finding.Error, Position: finding.Position{File: path},
		Message: fmt.Sprintf("the file cannot be read: %v", err),
		Fix:     "make it a readable file inside the repository, or remove it",
	}
}

// ParseYAML parses the content of a file. The result is nil when it is no YAML;
// a duplicate key is a finding, and the document is still returned. JSON is
// YAML, tabs included.
func ParseYAML(path string, data []byte) (*YAML, []finding.Finding) {
	y := &YAML{Path: path, lines: strings.Split(string(data), "\n")}
	if at := invalidUTF8(data); at >= 0 {
		line := bytes.Count(data[:at], []byte("\n"))
		column := at - bytes.LastIndexByte(data[:at], '\n')
		return nil, []finding.Finding{{
			Rule: "yaml-syntax", Severity: finding.Error, Position: finding.Position{File: path, Line: line + 1, Column: column},
			Message: "the file is not UTF-8 text", Fix: "save the file as UTF-8",
		}}
	}
	documents, err := parse(data)
	if err != nil && json.Valid(data) {
		// In valid JSON a tab is always white space; YAML does not take it everywhere.
		documents, err = parse(bytes.ReplaceAll(data, []byte("\t"), []byte(" ")))
	}
	if err != nil {
		return nil, []finding.Finding{y.syntax(data, err)}
	}
	var findings []finding.Finding
	for _, d := range documents {
		w := walker{file: y, left: maxNodes}
		w.walk(d, 0)
		if w.stopped != nil {
			return nil, []finding.Finding{*w.stopped}
		}
		findings = append(findings, w.findings...)
	}
	y.Documents = documents
	return y, findings
}

// parse returns the root nodes of all documents.
func parse(data []byte) ([]*yaml.Node, error) {
	var roots []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
			roots = append(roots, doc.Content[0])
		}
	}
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// syntax turns the parser's error into a finding. The parser names the line
// where the construct at fault began, or no line at all, and never a column.
func (y *YAML) syntax(data []byte, err error) finding.Finding {
	message := regexp.MustCompile(`^(yaml: )?(line \d+: )?`).ReplaceAllString(err.Error(), "")
	f := finding.Finding{
		Rule: "yaml-syntax", Severity: finding.Error, Position: finding.Position{File: y.Path},
		Message: "not valid YAML: " + message, Fix: "correct the syntax here or just above",
	}
	n := y.fault(data)
	if n == 0 {
		return f
	}
	line := strings.TrimRight(y.lines[n-1], " \t\r")
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	f.Position.Line, f.Position.Column, f.Position.Width = n, indent+1, max(len(line)-indent, 1)
	if at := strings.IndexByte(line[:indent], '\t'); at >= 0 {
		f.Rule, f.Position.Column, f.Position.Width = "yaml-tab", at+1, 1
		f.Message, f.Fix = "a tab indents this line, which YAML does not allow", "indent with spaces"
	}
	return f
}

// fault returns the number of the line that follows the longest run of first
// lines which is valid YAML, or 0 when finding it would take too long.
func (y *YAML) fault(data []byte) int {
	const largest, tries, ahead = 64 << 10, 64, 8
	if len(data) > largest {
		return 0
	}
	ends := make([]int, 0, len(y.lines)+1) // ends[n] is where the first n lines end
	ends = append(ends, 0)
	for i, b := range data {
		if b == '\n' {
			ends = append(ends, i+1)
		}
	}
	if ends[len(ends)-1] < len(data) {
		ends = append(ends, len(data))
	}
	left := tries
	valid := func(n int) bool {
		left--
		_, err := parse(data[:ends[n]])
		return err == nil
	}
	good, bad := 0, len(ends)-1
	for left > 0 {
		for bad-good > 1 && left > 0 {
			if middle := (good + bad) / 2; valid(middle) {
				good = middle
			} else {
				bad = middle
			}
		}
		// A run that stops inside a bracket or a quote is invalid although the
		// lines after it may complete it.
		next := 0
		for n := bad + 1; n < min(bad+ahead, len(ends)-1) && left > 0 && next == 0; n++ {
			if valid(n) {
				next = n
			}
		}
		if next == 0 {
			return min(bad, len(y.lines))
		}
		good, bad = next, len(ends)-1
	}
	return min(bad, len(y.lines))
}

// Position returns where a node begins, with the width of a scalar on one line.
func (y *YAML) Position(n *yaml.Node) finding.Position {
	p := finding.Position{File: y.Path, Line: n.Line}
	if n.Line < 1 || n.Line > len(y.lines) {
		return p
	}
	line := y.lines[n.Line-1]
	// The parser counts characters; positions count bytes.
	at := 0
	for i := 1; i < n.Column && at < len(line); i++ {
		_, size := utf8.DecodeRuneInString(line[at:])
		at += size
	}
	p.Column, p.Width = at+1, 1
	rest := line[at:]
	switch {
	case n.Kind == yaml.AliasNode:
		p.Width = len(n.Value) + 1
	case n.Kind != yaml.ScalarNode:
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		p.Width = quoted(rest)
	case n.Value != "" && strings.HasPrefix(rest, n.Value):
		p.Width = len(n.Value)
	}
	return p
}

// quoted returns the length of the quoted scalar that s begins with, quotes
// included; 1 when it does not end on this line or begins with a tag.
func quoted(s string) int {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return 1
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] == '"':
			i++
		case s[i] == s[0] && s[0] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return 1
}

// walker checks a document as its reader will see it, aliases followed.
type walker struct {
	file     *YAML
	left     int // nodes before the document counts as too large
	aliases  int // being followed
	findings []finding.Finding
	stopped  *finding.Finding
}

func (w *walker) walk(n *yaml.Node, depth int) {
	if w.left--; w.left < 0 || depth > maxDepth {
		w.stopped = &finding.Finding{
			Rule: "yaml-too-large", Severity: finding.Error, Position: w.file.Position(n),
			Message: fmt.Sprintf("the document nests deeper than %d levels or, with its aliases followed, has more than %d nodes", maxDepth, maxNodes),
			Fix:     "simplify it; an alias must not contain itself",
		}
		return
	}
	if n.Kind == yaml.AliasNode {
		// The keys of what an alias stands for are checked where it is written.
		w.aliases++
		w.walk(n.Alias, depth+1)
		w.aliases--
		return
	}
	if n.Kind == yaml.MappingNode && w.aliases == 0 {
		w.duplicates(n)
	}
	for _, c := range n.Content {
		if w.walk(c, depth+1); w.stopped != nil {
			return
		}
	}
}

func (w *walker) duplicates(n *yaml.Node) {
	type key struct{ tag, value string }
	first := make(map[key]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			continue
		}
		id := key{k.ShortTag(), k.Value}
		if before, ok := first[id]; ok {
			w.findings = append(w.findings, finding.Finding{
				Rule: "yaml-duplicate-key", Severity: finding.Error, Position: w.file.Position(k),
				Message: fmt.Sprintf("the key %q stands on line %d already; readers keep only one of the two", k.Value, before.Line),
				Fix:     "remove one of them",
			})
			continue
		}
		first[id] = k
	}
}

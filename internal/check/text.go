package check

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"archipel/internal/finding"
	"archipel/internal/policy"
	"archipel/internal/source"
)

// eachScalar calls see for every plain scalar of a file, with the key that it is the value
// of; key is nil for an element of a list and for a key itself.
func eachScalar(f *File, see func(key, scalar *yaml.Node)) {
	var walk func(key, n *yaml.Node)
	walk = func(key, n *yaml.Node) {
		switch n.Kind {
		case yaml.ScalarNode:
			if n.Style == 0 {
				see(key, n)
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(nil, n.Content[i])
				walk(n.Content[i], n.Content[i+1])
			}
		case yaml.SequenceNode:
			for _, c := range n.Content {
				walk(nil, c)
			}
		}
	}
	if f.SOPS() || f.Path == policy.File { // SOPS writes the one, and archipel alone reads the other
		return
	}
	for _, document := range f.Documents {
		walk(nil, document)
	}
}

// ambiguous makes a rule's function of what a plain scalar means to some readers; "" means
// the same to all.
func ambiguous(fix string, meaning func(key, scalar *yaml.Node) string) func(*File) []finding.Finding {
	return func(f *File) []finding.Finding {
		var findings []finding.Finding
		eachScalar(f, func(key, scalar *yaml.Node) {
			if m := meaning(key, scalar); m != "" {
				findings = append(findings, problem(f.Position(scalar), fix, "%s is %s", scalar.Value, m))
			}
		})
		return findings
	}
}

// numeric reports whether a scalar begins as a number does: few do, and patterns cost.
func numeric(text string) bool {
	return text != "" && (text[0] >= '0' && text[0] <= '9' || text[0] == '+' || text[0] == '-')
}

// lines makes a rule's function of what is wrong with single lines. repair returns the
// line as it should be; a change that would change what the file says is no finding.
func lines(message, fix string, repair func(line string) string) func(*File) []finding.Finding {
	return func(f *File) []finding.Finding {
		if f.SOPS() {
			return nil
		}
		var findings []finding.Finding
		all := strings.SplitAfter(string(f.Data), "\n")
		for i, line := range all {
			body := strings.TrimSuffix(line, "\n")
			if better := repair(body); better != body {
				at := finding.Position{File: f.Path, Line: i + 1, Column: len(better) + 1, Width: len(body) - len(better)}
				findings = append(findings, problem(at, fix, "%s", message))
			}
		}
		if len(findings) == 0 || sameYAML(f.Path, f.Data, repairLines(f.Data, repair)) {
			return findings
		}
		// Some of these lines are text, in which every character counts.
		const most = 100
		return slices.DeleteFunc(findings, func(one finding.Finding) bool {
			if len(findings) > most {
				return true
			}
			changed := slices.Clone(all)
			n := one.Position.Line - 1
			changed[n] = repair(strings.TrimSuffix(all[n], "\n")) + all[n][len(strings.TrimSuffix(all[n], "\n")):]
			return !sameYAML(f.Path, f.Data, []byte(strings.Join(changed, "")))
		})
	}
}

func repairLines(data []byte, repair func(string) string) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(string(data)) {
		body, ended := strings.CutSuffix(line, "\n")
		b.WriteString(repair(body))
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// sameYAML reports whether two texts say the same to every reader of YAML.
func sameYAML(name string, a, b []byte) bool {
	x, _ := source.ParseYAML(name, a)
	y, _ := source.ParseYAML(name, b)
	return x != nil && y != nil && slices.EqualFunc(x.Documents, y.Documents, sameNode)
}

func sameNode(a, b *yaml.Node) bool {
	return a.Kind == b.Kind && a.Tag == b.Tag && a.Value == b.Value && a.Anchor == b.Anchor &&
		slices.EqualFunc(a.Content, b.Content, sameNode)
}

// layer returns the folder of kubernetes/ that a file is in: "flux", "ansible" or another.
func layer(file string) string {
	rest, ok := strings.CutPrefix(file, tree+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// hidden reports whether a file is one that no layer reads, and that may lie anywhere.
func hidden(file string) bool {
	name := path.Base(file)
	return strings.HasPrefix(name, ".") || strings.EqualFold(path.Ext(name), ".md")
}

package finding

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Text writes findings for a person, each with its source line read from repo:
//
//	dir/file.yaml:14:16: error: chart version "*" is not pinned [release-unpinned]
//	   14 |       version: "*"
//	      |                ^~~
//	   fix: set an exact version      sites: site-a, site-b
//
// A line that may hold a secret is left out, and so is one that repo no longer
// has. colour adds ANSI colours.
func Text(w io.Writer, repo fs.FS, findings []Finding, colour bool) error {
	t := printer{w: bufio.NewWriter(w), repo: repo, colour: colour, files: map[string][]string{}, secret: assignsSecret()}
	for _, f := range findings {
		t.print(f)
	}
	return t.w.Flush()
}

type printer struct {
	w      *bufio.Writer
	repo   fs.FS
	colour bool
	files  map[string][]string // lines by file name
	secret *regexp.Regexp
}

func (t *printer) print(f Finding) {
	place := clean(f.Position.File)
	if place != "" && f.Position.Line > 0 {
		place += fmt.Sprintf(":%d", f.Position.Line)
		if f.Position.Column > 0 {
			place += fmt.Sprintf(":%d", f.Position.Column)
		}
	}
	if place != "" {
		fmt.Fprintf(t.w, "%s: ", t.paint(bold, place))
	}
	severity := t.paint(red, f.Severity.String())
	if f.Severity == Warning {
		severity = t.paint(yellow, f.Severity.String())
	}
	fmt.Fprintf(t.w, "%s: %s [%s]\n", severity, clean(f.Message), clean(f.Rule))

	if line, ok := t.line(f); ok {
		shown, under := excerpt(line, f.Position.Column, f.Position.Width)
		fmt.Fprintf(t.w, "%5d | %s\n", f.Position.Line, strings.TrimRight(shown, " "))
		if under != "" {
			fmt.Fprintf(t.w, "%5s | %s\n", "", t.paint(green, under))
		}
	}
	var tail []string
	if f.Fix != "" {
		tail = append(tail, "fix: "+clean(f.Fix))
	}
	if len(f.Sites) > 0 {
		tail = append(tail, "sites: "+clean(strings.Join(f.Sites, ", ")))
	}
	if len(f.Also) > 0 {
		tail = append(tail, "also: "+clean(strings.Join(f.Also, ", ")))
	}
	if len(tail) > 0 {
		fmt.Fprintf(t.w, "   %s\n", strings.Join(tail, "      "))
	}
}

// line returns the source line that a finding points at.
func (t *printer) line(f Finding) (string, bool) {
	p := f.Position
	if t.repo == nil || p.Line < 1 || f.Secret || strings.Contains(path.Base(p.File), ".sops.") {
		return "", false
	}
	lines, read := t.files[p.File]
	if !read {
		// A file that cannot be read shows no lines: the finding itself says more.
		if data, err := fs.ReadFile(t.repo, p.File); err == nil {
			lines = strings.Split(string(data), "\n")
		}
		t.files[p.File] = lines
	}
	if p.Line > len(lines) {
		return "", false
	}
	line := strings.TrimSuffix(lines[p.Line-1], "\r")
	return line, !t.secret.MatchString(line)
}

// assignsSecret matches a line that seems to give a secret its value, and the
// forms of age, PEM and URL credentials.
func assignsSecret() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|private_?key|api_?key|credential)[a-z0-9_-]*["']?\s*[:=]\s*\S` +
		`|AGE-SECRET-KEY-|-----BEGIN|://[^/\s@]*:[^/\s@]*@`)
}

// excerpt returns at most 120 characters of a line, around a column, and what
// to print below it: a caret with tildes. Both are safe to print.
func excerpt(line string, column, width int) (shown, under string) {
	const most, before = 120, 60
	if column < 1 || column > len(line)+1 {
		return cut(clean(strings.ReplaceAll(line, "\t", " ")), 0, most), ""
	}
	end := min(column-1+max(width, 1), len(line))
	at := utf8.RuneCountInString(line[:column-1])
	length := 1
	if end > column-1 {
		length = utf8.RuneCountInString(line[column-1 : end])
	}
	// A tab becomes one space and every other character keeps its place, so
	// that the caret stands below what it means.
	text := clean(strings.ReplaceAll(line, "\t", " "))
	from := 0
	if utf8.RuneCountInString(text) > most && at > before {
		from = at - before
	}
	length = min(length, from+most-at)
	return cut(text, from, most), strings.Repeat(" ", at-from) + "^" + strings.Repeat("~", max(length-1, 0))
}

// cut returns at most n characters of s after the first from.
func cut(s string, from, n int) string {
	runes := []rune(s)
	if from >= len(runes) {
		return ""
	}
	return string(runes[from:min(from+n, len(runes))])
}

// SGR parameters of the colours in use.
const (
	bold   = "1"
	red    = "1;31"
	green  = "1;32"
	yellow = "1;33"
)

func (t *printer) paint(code, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

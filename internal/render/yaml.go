package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// YAML writes an object of maps, lists, texts, numbers, booleans and null as YAML, its
// keys sorted. It does what sigs.k8s.io/yaml does, some twenty times as fast: the
// definitions of Flux alone are over a megabyte.
func YAML(object map[string]any) []byte {
	w := yamlWriter{}
	w.fields(object, 0)
	return w.Bytes()
}

type yamlWriter struct{ bytes.Buffer }

func (w *yamlWriter) indent(depth int) {
	for range depth {
		w.WriteString("  ")
	}
}

func (w *yamlWriter) fields(fields map[string]any, depth int) {
	for i, key := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			w.indent(depth)
		}
		w.text(key, 0, true)
		w.WriteByte(':')
		w.after(fields[key], depth)
	}
}

// after writes the value of a key, whose colon is written already.
func (w *yamlWriter) after(value any, depth int) {
	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 {
			w.WriteByte('\n')
			w.indent(depth + 1)
			w.fields(v, depth+1)
			return
		}
	case []any:
		if len(v) > 0 {
			w.WriteByte('\n')
			w.items(v, depth) // as kubectl does: no deeper than their key
			return
		}
	}
	w.WriteByte(' ')
	w.scalar(value, depth)
}

func (w *yamlWriter) items(items []any, depth int) {
	for _, item := range items {
		w.indent(depth)
		w.WriteString("- ")
		w.item(item, depth)
	}
}

// item writes what follows a dash.
func (w *yamlWriter) item(item any, depth int) {
	switch v := item.(type) {
	case map[string]any:
		if len(v) > 0 {
			w.fields(v, depth+1)
			return
		}
	case []any:
		if len(v) > 0 {
			w.WriteString("- ")
			w.item(v[0], depth+1)
			w.items(v[1:], depth+1)
			return
		}
	}
	w.scalar(item, depth)
}

func (w *yamlWriter) scalar(value any, depth int) {
	switch v := value.(type) {
	case nil:
		w.WriteString("null")
	case string:
		w.text(v, depth+1, false)
	case bool:
		w.WriteString(strconv.FormatBool(v))
	case int64:
		w.WriteString(strconv.FormatInt(v, 10))
	case map[string]any:
		w.WriteString("{}")
	case []any:
		w.WriteString("[]")
	default: // float64 and, from other readers, further numbers: as JSON has them
		data, err := json.Marshal(v)
		if err != nil {
			data = []byte(strconv.Quote(fmt.Sprint(v)))
		}
		w.Write(data)
	}
	w.WriteByte('\n')
}

var (
	// plain texts are read as texts by every reader of YAML, whatever its version.
	plain = regexp.MustCompile(`^[A-Za-z0-9/_.]([A-Za-z0-9/_.@%+=-]|:[A-Za-z0-9/])*( [A-Za-z0-9/_.(][A-Za-z0-9/_.,@%+=()-]*)*$`)
	// ambiguous texts are numbers, booleans, times or nothing for some of them.
	ambiguous = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|~|[-+.]?(inf|nan)|[.0-9_:e+-]+|0[xob].*|[0-9]{4}-[0-9]+-[0-9].*|=|<<|\.+)$`)
)

func (w *yamlWriter) text(text string, depth int, key bool) {
	switch {
	case plain.MatchString(text) && !ambiguous.MatchString(text):
		w.WriteString(text)
	case !key && isBlock(text):
		w.block(text, depth)
	default:
		w.quoted(text)
	}
}

// isBlock says whether a text can stand as a block of lines and come out the same.
func isBlock(text string) bool {
	if !strings.Contains(text, "\n") || !utf8.ValidString(text) || strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\n") || strings.TrimRight(text, "\n") == "" {
		return false
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && (!unicode.IsPrint(r) || r == '\u2028' || r == '\u2029' || r == '\u0085' || r == '\ufeff') {
			return false
		}
	}
	// The white space at the end of a line is easily lost by an editor; in the first line a
	// tab would be taken for indentation.
	return !strings.HasPrefix(text, "\t") && !regexp.MustCompile(`[ \t](\n|$)`).MatchString(text)
}

func (w *yamlWriter) block(text string, depth int) {
	w.WriteByte('|')
	body := strings.TrimSuffix(text, "\n")
	switch {
	case body == text:
		w.WriteByte('-')
	case strings.HasSuffix(body, "\n"):
		w.WriteByte('+')
		body = text[:len(text)-1]
	}
	for line := range strings.SplitSeq(body, "\n") {
		w.WriteByte('\n')
		if line != "" {
			w.indent(depth)
			w.WriteString(line)
		}
	}
}

// quoted writes a text in double quotes, with JSON's escapes, which YAML has too.
func (w *yamlWriter) quoted(text string) {
	w.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			w.WriteByte('\\')
			w.WriteRune(r)
		case r == '\n':
			w.WriteString(`\n`)
		case r == '\t':
			w.WriteString(`\t`)
		case r == '\r':
			w.WriteString(`\r`)
		case r > 0xffff && !unicode.IsPrint(r):
			fmt.Fprintf(w, `\U%08x`, r)
		case !unicode.IsPrint(r) || r == '\ufeff':
			fmt.Fprintf(w, `\u%04x`, r)
		default:
			w.WriteRune(r)
		}
	}
	w.WriteByte('"')
}

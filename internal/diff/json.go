package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// report is the JSON form of a Report. Fields may be added, never changed.
type report struct {
	Before    string   `json:"before"`
	After     string   `json:"after"`
	Sites     []string `json:"sites"`
	Files     int      `json:"files"`     // of the layers, that differ
	Dangerous int      `json:"dangerous"` // changes that have a danger
	Changes   []change `json:"changes"`
	Skipped   []skip   `json:"skipped"`
}

type change struct {
	Layer   Layer    `json:"layer"`
	Action  Action   `json:"action"`
	Subject string   `json:"subject"`
	Sites   []string `json:"sites"`
	Dangers []string `json:"dangers"`
	Owner   string   `json:"owner,omitempty"`
	Former  string   `json:"former,omitempty"`
	Fields  []field  `json:"fields"`
	More    int      `json:"more,omitempty"`
	Notes   []string `json:"notes"`
	Quiet   bool     `json:"quiet"`
	File    string   `json:"file,omitempty"`
	Line    int      `json:"line,omitempty"`
}

type field struct {
	Path   string    `json:"path"`
	Kind   FieldKind `json:"kind"`
	Old    any       `json:"old,omitempty"`
	New    any       `json:"new,omitempty"`
	Masked bool      `json:"masked,omitempty"`
}

type skip struct {
	Sides  []string `json:"sides"`
	Code   string   `json:"code"`
	Object string   `json:"object,omitempty"`
	Reason string   `json:"reason"`
	Sites  []string `json:"sites"`
}

// JSON writes a report as one object.
func JSON(w io.Writer, r *Report) error {
	out := report{
		Before: clean(r.Before), After: clean(r.After), Sites: list(r.Sites), Files: r.Files, Dangerous: r.Dangerous(),
		Changes: make([]change, len(r.Changes)), Skipped: make([]skip, len(r.Skipped)),
	}
	for i, c := range r.Changes {
		fields := make([]field, len(c.Fields))
		for j, f := range c.Fields {
			fields[j] = field{clean(f.Path), f.Kind, f.Old, f.New, f.Masked}
		}
		out.Changes[i] = change{
			Layer: c.Layer, Action: c.Action, Subject: c.Subject, Sites: list(c.Sites), Dangers: list(c.Dangers), Owner: c.Owner, Former: c.Former,
			Fields: fields, More: c.More, Notes: list(c.Notes), Quiet: c.Quiet, File: clean(c.Source.File), Line: c.Source.Line,
		}
	}
	for i, s := range r.Skipped {
		out.Skipped[i] = skip{list(s.Sides), s.Code, s.Object, s.Reason, list(s.Sites)}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

// printable writes what must not reach a terminal as JSON escapes it. Values
// stay what they are.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == utf8.RuneError || !unprintable(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// list is never null.
func list(texts []string) []string {
	cleaned := make([]string, len(texts))
	for i, text := range texts {
		cleaned[i] = clean(text)
	}
	return cleaned
}

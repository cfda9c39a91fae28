package finding

import (
	"encoding/json"
	"io"
)

// About is a field beside the findings.
type About struct {
	Key   string
	Value any
}

// entry is the JSON form of a finding. Fields may be added, never changed.
type entry struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`   // from 1; absent when the finding is about the file as a whole
	Column   int      `json:"column,omitempty"` // from 1, in bytes
	Width    int      `json:"width,omitempty"`  // bytes
	Message  string   `json:"message"`
	Fix      string   `json:"fix,omitempty"`
	Sites    []string `json:"sites"`
	Subject  string   `json:"subject,omitempty"`
	Owner    Owner    `json:"owner,omitempty"`
	Also     []string `json:"also,omitempty"` // what other engines call it
}

// JSON writes findings as one object: {"findings": [...]}. about adds what else is to be
// said of the run, by key.
func JSON(w io.Writer, findings []Finding, about ...About) error {
	r := make([]entry, len(findings))
	for i, f := range findings {
		r[i] = entry{
			Rule: f.Rule, Severity: f.Severity,
			File: clean(f.Position.File), Line: f.Position.Line, Column: f.Position.Column, Width: f.Position.Width,
			Message: clean(f.Message), Fix: clean(f.Fix), Sites: append([]string{}, f.Sites...),
			Subject: clean(f.Subject), Owner: f.Owner, Also: f.Also,
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	object := map[string]any{"findings": r}
	for _, field := range about {
		object[field.Key] = field.Value
	}
	return enc.Encode(object)
}

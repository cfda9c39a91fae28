package finding

import (
	"encoding/json"
	"io"
)

// report is the JSON form of findings. Fields may be added, never changed.
type report struct {
	Findings []entry `json:"findings"`
}

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
}

// JSON writes findings as one object: {"findings": [...]}.
func JSON(w io.Writer, findings []Finding) error {
	r := report{Findings: make([]entry, len(findings))}
	for i, f := range findings {
		r.Findings[i] = entry{
			Rule: f.Rule, Severity: f.Severity,
			File: clean(f.Position.File), Line: f.Position.Line, Column: f.Position.Column, Width: f.Position.Width,
			Message: clean(f.Message), Fix: clean(f.Fix), Sites: append([]string{}, f.Sites...),
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

package terraform

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Result is the plan of one site, or why there is none.
type Result struct {
	Site    string
	Summary *Summary
	Error   string // in one line or several; empty when there is a plan
}

// JSON writes results for programs. Fields may be added, never changed.
func JSON(w io.Writer, results []Result) error {
	type site struct {
		Site string `json:"site"`
		*Summary
		Error string `json:"error,omitempty"`
	}
	sites := []site{}
	changed := false
	for _, r := range results {
		sites = append(sites, site{r.Site, r.Summary, r.Error})
		changed = changed || r.Summary != nil && r.Summary.Any()
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(map[string]any{"sites": sites, "changed": changed})
}

// Markdown writes results as a comment for a pull request.
func Markdown(w io.Writer, results []Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### Infrastructure: %s\n\n", headline(results))
	if lost := losses(results); len(lost) > 0 {
		b.WriteString("> [!CAUTION]\n> **This destroys or replaces what is there:**\n")
		for _, l := range lost {
			fmt.Fprintf(&b, "> - %s: **%s** %s%s\n", escape(l.site), l.Action, escape(l.What), escape(because(l.Change)))
		}
		b.WriteString("\n")
	}
	b.WriteString("| site | create | update | replace | destroy | drift |\n|---|---:|---:|---:|---:|---:|\n")
	for _, r := range results {
		if r.Summary == nil {
			fmt.Fprintf(&b, "| %s | no plan | | | | |\n", escape(r.Site))
			continue
		}
		s := r.Summary
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", escape(r.Site), s.Create, s.Update, s.Replace, s.Destroy, len(s.Drift))
	}
	for _, r := range results {
		switch {
		case r.Summary == nil:
			fmt.Fprintf(&b, "\n**%s**: no plan\n", escape(r.Site))
		case r.Summary.Any() || len(r.Summary.Drift) > 0:
			fmt.Fprintf(&b, "\n<details><summary>%s</summary>\n\n", escape(r.Site))
			for _, c := range r.Summary.Changes {
				fmt.Fprintf(&b, "- %s %s%s `%s`\n", c.Action, escape(c.What), escape(because(c)), strings.ReplaceAll(c.Address, "`", "'"))
			}
			for _, name := range r.Summary.Outputs {
				fmt.Fprintf(&b, "- output %s\n", escape(name))
			}
			for _, c := range r.Summary.Drift {
				fmt.Fprintf(&b, "- drift: %s%s\n", escape(c.What), escape(because(drifted(c))))
			}
			b.WriteString("\n</details>\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// escape keeps a text from being read as Markdown or HTML.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "\\|", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "\n", " ").Replace(text)
}

// Text writes results for a person: what is lost first, then the counts, then each site.
func Text(w io.Writer, results []Result, colour bool) error {
	paint := func(code, text string) string {
		if !colour {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	const red, yellow, green, dim, bold = "31", "33", "32", "2", "1"
	var b strings.Builder
	if lost := losses(results); len(lost) > 0 {
		b.WriteString(paint(bold+";"+red, "DESTROYED OR REPLACED") + "\n")
		for _, l := range lost {
			fmt.Fprintf(&b, "  %s  %s %s%s\n", l.site, paint(red, fmt.Sprintf("%-7s", l.Action)), l.What, because(l.Change))
		}
		b.WriteString("\n")
	}
	names := len("SITE")
	for _, r := range results {
		names = max(names, len(r.Site))
	}
	fmt.Fprintf(&b, "%s\n", paint(bold, fmt.Sprintf("%-*s  CREATE  UPDATE  REPLACE  DESTROY  DRIFT", names, "SITE")))
	for _, r := range results {
		if r.Summary == nil {
			fmt.Fprintf(&b, "%-*s  %s\n", names, r.Site, paint(red, "no plan"))
			continue
		}
		s := r.Summary
		fmt.Fprintf(&b, "%-*s  %6d  %6d  %7d  %7d  %5d\n", names, r.Site, s.Create, s.Update, s.Replace, s.Destroy, len(s.Drift))
	}
	for _, r := range results {
		s := r.Summary
		if s == nil || !s.Any() && len(s.Drift) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", paint(bold, r.Site))
		for _, c := range s.Changes {
			code := map[Action]string{Destroy: red, Replace: red, Forget: yellow, Update: yellow, Create: green}[c.Action]
			if code == "" {
				code = dim
			}
			fmt.Fprintf(&b, "  %s %s%s\n", paint(code, fmt.Sprintf("%-7s", c.Action)), c.What, because(c))
			fmt.Fprintf(&b, "          %s\n", paint(dim, c.Address))
		}
		for _, name := range s.Outputs {
			fmt.Fprintf(&b, "  %s %s\n", paint(dim, "output "), name)
		}
		if len(s.Drift) > 0 {
			b.WriteString("  drift: changed since the last apply, and not by it\n")
			for _, c := range s.Drift {
				fmt.Fprintf(&b, "    %s%s\n", c.What, because(drifted(c)))
			}
		}
	}
	fmt.Fprintf(&b, "\n%s\n", headline(results))
	_, err := io.WriteString(w, b.String())
	return err
}

// drifted words a change that somebody else has made.
func drifted(c Change) Change {
	switch c.Action {
	case Destroy:
		c.Reason = "it is gone"
	case Create:
		c.Reason = "it was made"
	}
	return c
}

// because is why a resource is changed, and what of it.
func because(c Change) string {
	text := ""
	if len(c.Fields) > 0 {
		const most = 6
		fields := c.Fields
		if len(fields) > most {
			fields = append(fields[:most:most], fmt.Sprintf("and %d more", len(c.Fields)-most))
		}
		text = ": " + strings.Join(fields, ", ")
	}
	if c.Reason != "" {
		text += " (" + c.Reason + ")"
	}
	return text
}

type loss struct {
	Change
	site string
}

func losses(results []Result) []loss {
	var all []loss
	for _, action := range []Action{Destroy, Replace} {
		for _, r := range results {
			if r.Summary == nil {
				continue
			}
			for _, c := range r.Summary.Changes {
				if c.Action == action {
					all = append(all, loss{c, r.Site})
				}
			}
		}
	}
	return all
}

func headline(results []Result) string {
	var create, update, replace, destroy, drift, failed, outputs int
	for _, r := range results {
		if r.Summary == nil {
			failed++
			continue
		}
		create += r.Summary.Create
		update += r.Summary.Update
		replace += r.Summary.Replace
		destroy += r.Summary.Destroy
		drift += len(r.Summary.Drift)
		outputs += len(r.Summary.Outputs)
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{destroy, "to destroy"}, {replace, "to replace"}, {update, "to update"}, {create, "to create"}, {drift, "drifted"}, {failed, "without a plan"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, ", ")
	case outputs > 0:
		return "outputs change, no resource does"
	}
	return "nothing to change"
}

// Headline is a summary in one line.
func Headline(s *Summary) string { return headline([]Result{{Site: s.Site, Summary: s}}) }

package finding

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// GitHub writes findings as workflow commands, which GitHub shows as annotations of the
// lines that a pull request changes
// (https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands).
func GitHub(w io.Writer, findings []Finding, run Run) error {
	// What ends a command or a property is escaped, so that no text from a repository can
	// be taken for a command.
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	b := bufio.NewWriter(w)
	for _, f := range findings {
		var at strings.Builder
		if p := f.Position; p.File != "" {
			fmt.Fprintf(&at, "file=%s,", property.Replace(clean(p.File)))
			if p.Line > 0 {
				fmt.Fprintf(&at, "line=%d,", p.Line)
			}
			if p.Line > 0 && p.Column > 0 {
				fmt.Fprintf(&at, "col=%d,endColumn=%d,", p.Column, p.Column+max(p.Width, 1))
			}
		}
		lines := []string{clean(f.Message)}
		if f.Fix != "" {
			lines = append(lines, "fix: "+clean(f.Fix))
		}
		if len(f.Sites) > 0 {
			lines = append(lines, "sites: "+clean(strings.Join(f.Sites, ", ")))
		}
		if len(f.Also) > 0 {
			lines = append(lines, "also: "+clean(strings.Join(f.Also, ", ")))
		}
		fmt.Fprintf(b, "::%s %stitle=%s::%s\n", f.Severity, at.String(), property.Replace(clean(f.Rule)), data.Replace(strings.Join(lines, "\n")))
	}
	for _, skip := range run.Skipped {
		fmt.Fprintf(b, "::notice title=%s::%s\n", property.Replace(clean(skip.Code)), data.Replace(fmt.Sprintf("skipped %d times: %s", skip.Count, clean(skip.Reason))))
	}
	return b.Flush()
}

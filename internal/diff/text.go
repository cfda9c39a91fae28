package diff

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Text writes a report for a person. colour adds ANSI colours.
func Text(w io.Writer, r *Report, colour bool) error {
	t := textPrinter{w: bufio.NewWriter(w), report: r, colour: colour}
	t.print()
	return t.w.Flush()
}

// ANSI colours.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

type textPrinter struct {
	w      *bufio.Writer
	report *Report
	colour bool
}

func (t *textPrinter) paint(code, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (t *textPrinter) print() {
	heading := ""
	var quiet []Change
	for _, c := range t.report.Changes {
		if c.Quiet && len(c.Dangers) == 0 {
			quiet = append(quiet, c)
			continue
		}
		if h := headingOf(c); h != heading {
			heading = h
			fmt.Fprintf(t.w, "%s\n", t.paint(bold, heading))
		}
		t.change(c)
	}
	if len(quiet) > 0 {
		fmt.Fprintf(t.w, "%s\n", t.paint(bold, "Only labels and annotations that follow"))
		for _, line := range quietLines(quiet, t.report.Sites) {
			fmt.Fprintf(t.w, "  ~ %s\n", line)
		}
		fmt.Fprintln(t.w)
	}
	if len(t.report.Skipped) > 0 {
		fmt.Fprintf(t.w, "%s\n", t.paint(bold, "Not compared"))
		for _, s := range t.report.Skipped {
			fmt.Fprintf(t.w, "  %s\n", skippedLine(s, t.report.Sites))
		}
		fmt.Fprintln(t.w)
	}
	fmt.Fprintln(t.w, summary(t.report))
}

// headingOf is the part of the report that a change stands in.
func headingOf(c Change) string {
	if len(c.Dangers) > 0 {
		return "Dangerous"
	}
	switch c.Layer {
	case Inventory:
		return "Inventory"
	case Terraform:
		return "Terraform"
	case Ansible:
		return "Ansible"
	}
	return "Kubernetes"
}

func (t *textPrinter) change(c Change) {
	sign, colour := sign(c.Action)
	line := fmt.Sprintf("%s %s %s", t.paint(colour, sign), c.Action, t.paint(bold, c.Subject))
	if sites := siteList(c.Sites, t.report.Sites); sites != "" {
		line += "  (" + sites + ")"
	}
	fmt.Fprintf(t.w, "  %s\n", line)
	for _, danger := range c.Dangers {
		fmt.Fprintf(t.w, "      %s %s\n", t.paint(red, "danger:"), danger)
	}
	if owned := ownerLine(c); owned != "" {
		fmt.Fprintf(t.w, "      %s\n", owned)
	}
	for _, note := range c.Notes {
		fmt.Fprintf(t.w, "      %s\n", note)
	}
	for _, f := range c.Fields {
		fmt.Fprintf(t.w, "      %s\n", t.field(f))
	}
	if c.More > 0 {
		fmt.Fprintf(t.w, "      and %s more\n", count(c.More, "field"))
	}
	fmt.Fprintln(t.w)
}

func sign(a Action) (text, colour string) {
	switch a {
	case Created:
		return "+", green
	case Deleted:
		return "-", red
	case LeftBehind:
		return "?", yellow
	case Moved:
		return ">", yellow
	}
	return "~", yellow
}

// ownerLine says who applies an object, where that is not plain.
func ownerLine(c Change) string {
	if c.Action == Moved {
		return fmt.Sprintf("from %s to %s", orNobody(c.Former), orNobody(c.Owner))
	}
	if strings.HasPrefix(c.Owner, "HelmRelease ") {
		return "of " + c.Owner
	}
	return ""
}

func orNobody(owner string) string {
	if owner == "" {
		return "the folder itself"
	}
	return owner
}

// maxShown bounds a value on a terminal, in bytes.
const maxShown = 160

func (t *textPrinter) field(f Field) string {
	path := clean(f.Path)
	old, fresh := t.paint(red, word(f.Old, maxShown)), t.paint(green, word(f.New, maxShown))
	switch {
	case f.Masked && f.Kind == FieldChanged:
		return path + ": changed, not shown"
	case f.Masked:
		return fmt.Sprintf("%s: %s, not shown", path, f.Kind)
	case f.Kind == FieldReordered:
		return fmt.Sprintf("%s: the same in another order, %s", path, fresh)
	case f.Kind == FieldAdded && f.New == nil, f.Kind == FieldRemoved && f.Old == nil, f.Old == nil && f.New == nil:
		return fmt.Sprintf("%s: %s", path, f.Kind)
	case f.Kind == FieldAdded:
		return fmt.Sprintf("%s %s: %s", t.paint(green, "+"), path, fresh)
	case f.Kind == FieldRemoved:
		return fmt.Sprintf("%s %s: %s", t.paint(red, "-"), path, old)
	}
	return fmt.Sprintf("%s: %s → %s", path, old, fresh)
}

// quietLines sums up changes that hold nothing but what follows from others:
// one line for those that say the same of the same sites.
func quietLines(changes []Change, all []string) []string {
	type group struct{ note, sites string }
	subjects := map[group][]string{}
	var order []group
	for _, c := range changes {
		g := group{strings.Join(c.Notes, "; "), siteList(c.Sites, all)}
		if len(subjects[g]) == 0 {
			order = append(order, g)
		}
		subjects[g] = append(subjects[g], c.Subject)
	}
	var lines []string
	for _, g := range order {
		names := subjects[g]
		const most = 3
		text := strings.Join(names[:min(len(names), most)], ", ")
		if len(names) > most {
			text += fmt.Sprintf(" and %d more", len(names)-most)
		}
		if g.sites != "" {
			text += "  (" + g.sites + ")"
		}
		lines = append(lines, strings.TrimPrefix(g.note, "labels and annotations that follow: ")+": "+text)
	}
	return lines
}

func skippedLine(s Skipped, all []string) string {
	line := s.Reason
	if s.Object != "" {
		line = s.Object + ": " + line
	}
	return fmt.Sprintf("%s [%s]  (%s; %s)", line, s.Code, clean(strings.Join(s.Sides, " and ")), siteList(s.Sites, all))
}

// summary is the last line: what was compared, and what came out.
func summary(r *Report) string {
	text := fmt.Sprintf("%s → %s: %s compared, %s", clean(r.Before), clean(r.After), count(len(r.Sites), "site"), count(r.Files, "changed file"))
	switch {
	case len(r.Changes) > 0:
		text += ", " + count(len(r.Changes), "change")
	case r.Files > 0:
		text += ", nothing changes at the sites"
	default:
		text += ", no difference"
	}
	if n := r.Dangerous(); n > 0 {
		text += fmt.Sprintf(", %d dangerous", n)
	}
	if n := len(r.Skipped); n > 0 {
		text += fmt.Sprintf(", %d not compared", n)
	}
	return text
}

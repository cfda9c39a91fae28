package term

import (
	"fmt"
	"io"
	"strings"
	"time"

	"archipel/internal/status"
)

// Snapshot shows one block for each site: what it is and holds, then what is
// not ready, root causes first, then a line that sums all up.
func Snapshot(w io.Writer, s status.Snapshot, style Style) error {
	var out strings.Builder
	for _, site := range s.Sites {
		writeSite(&out, site, s.Taken, style)
		out.WriteString("\n")
	}
	out.WriteString(summary(s, style) + "\n")
	_, err := io.WriteString(w, out.String())
	return err
}

func writeSite(out *strings.Builder, site status.Site, now time.Time, style Style) {
	mark, colour := look(site.State)
	head := style.Paint(colour, mark) + " " + style.Paint(Bold, Clean(site.Name))
	if !site.Reachable {
		head += "  not reachable"
		if site.Since != nil {
			head += fmt.Sprintf(" since %s (%s)", moment(*site.Since, now), age(*site.Since, now))
		} else {
			head += ", unknown since when"
		}
		out.WriteString(head + "\n")
		paragraph(out, site.Error, 2, style, Bad)
		return
	}
	head += "  " + stateWord(site.State)
	for _, detail := range []string{site.KubernetesVersion, shortRevision(site.Revision)} {
		if detail != "" {
			head += "  " + style.Paint(Dim, Clean(detail))
		}
	}
	out.WriteString(head + "\n")

	table := Table{Indent: 2}
	nodeRows(&table, site.Nodes)
	for _, o := range site.Kustomizations {
		objectRow(&table, o, shortRevision(o.Revision))
	}
	for _, o := range site.HelmReleases {
		detail := ""
		if o.Version != "" {
			detail = "chart " + o.Version
		}
		objectRow(&table, o, detail)
	}
	sourceRows(&table, site.Sources)
	for _, o := range site.Workloads {
		objectRow(&table, o, fmt.Sprintf("%d/%d", o.Replicas.Ready, o.Replicas.Desired))
	}
	_ = table.Write(out, style) // a strings.Builder takes all

	for _, note := range site.Notes {
		paragraph(out, "note: "+note, 2, style, Busy)
	}
	if len(site.Causes) > 0 {
		title := "Not ready, root cause first:"
		if site.State == status.Progressing {
			title = "Under way:"
		}
		out.WriteString("  " + style.Paint(Bold, title) + "\n")
	}
	for _, cause := range site.Causes {
		writeCause(out, cause, now, style)
	}
}

// nodeRows shows how many nodes are ready, and each that is not.
func nodeRows(table *Table, nodes []status.Node) {
	state, ready := status.Ready, 0
	if len(nodes) == 0 {
		state = status.Progressing // a site without nodes is not there yet
	}
	for _, n := range nodes {
		if n.State == status.Ready {
			ready++
		} else {
			state = worse(state, n.State)
		}
	}
	row(table, state, "Nodes", fmt.Sprintf("%d/%d", ready, len(nodes)), "", "")
	for _, n := range nodes {
		if n.State != status.Ready || n.Reason != "" {
			row(table, n.State, "Node", n.Name, n.Role, n.Reason)
		}
	}
}

// sourceRows shows how many sources are ready, and each that is not.
func sourceRows(table *Table, sources []status.Object) {
	state, ready := status.Ready, 0
	for _, o := range sources {
		if o.State == status.Ready {
			ready++
		} else {
			state = worse(state, o.State)
		}
	}
	if len(sources) > 0 {
		row(table, state, "Sources", fmt.Sprintf("%d/%d", ready, len(sources)), "", "")
	}
	for _, o := range sources {
		if o.State != status.Ready {
			objectRow(table, o, shortRevision(o.Revision))
		}
	}
}

func objectRow(table *Table, o status.Object, detail string) {
	reason := o.Reason
	if o.State == status.Ready {
		reason = ""
	}
	row(table, o.State, o.Kind, o.Path(), detail, reason)
}

func row(table *Table, state status.State, kind, name, detail, reason string) {
	mark, colour := look(state)
	table.Row(Cell{mark, colour}, Cell{Text: kind}, Cell{Text: name}, Cell{Text: detail}, Cell{reason, colour})
}

func writeCause(out *strings.Builder, c status.Cause, now time.Time, style Style) {
	mark, colour := look(c.State)
	title := Clean(c.Object.String())
	detail := Clean(c.Reason)
	if c.Since != nil {
		detail = strings.TrimSpace(detail + ", " + age(*c.Since, now))
	}
	out.WriteString("  " + style.Paint(colour, mark) + " " + style.Paint(Bold, title) + "  " + style.Paint(Dim, detail) + "\n")
	paragraph(out, c.Message, 6, style, Plain)
	if len(c.Affects) > 0 {
		var names []string
		for _, ref := range c.Affects {
			names = append(names, ref.String())
		}
		effect := "holds back "
		if strings.HasSuffix(c.Object.Kind, "Repository") { // what was fetched before is still applied
			effect = "changes no longer reach "
		}
		paragraph(out, effect+strings.Join(names, ", "), 6, style, Dim)
	}
	if c.Hint != "" {
		paragraph(out, "try: "+c.Hint, 6, style, Plain)
	}
}

func paragraph(out *strings.Builder, text string, indent int, style Style, colour Colour) {
	if text == "" {
		return
	}
	for _, line := range Wrap(Clean(text), style.Width()-indent) {
		out.WriteString(strings.Repeat(" ", indent) + style.Paint(colour, line) + "\n")
	}
}

func summary(s status.Snapshot, style Style) string {
	var parts []string
	for _, state := range []status.State{status.Ready, status.Progressing, status.Failed, status.Unknown, status.Unreachable} {
		count := 0
		for _, site := range s.Sites {
			if site.State == state {
				count++
			}
		}
		if count > 0 {
			_, colour := look(state)
			parts = append(parts, style.Paint(colour, fmt.Sprintf("%d %s", count, stateWord(state))))
		}
	}
	noun := "sites"
	if len(s.Sites) == 1 {
		noun = "site"
	}
	return fmt.Sprintf("%d %s: %s", len(s.Sites), noun, strings.Join(parts, ", "))
}

func look(state status.State) (mark string, colour Colour) {
	switch state {
	case status.Ready:
		return "✓", Good
	case status.Progressing:
		return "…", Busy
	case status.Suspended:
		return "-", Busy
	case status.Unknown:
		return "?", Busy
	}
	return "✗", Bad
}

func stateWord(state status.State) string {
	switch state {
	case status.Failed:
		return "not ready"
	case status.Unreachable:
		return "not reachable"
	case status.Unknown:
		return "not fully readable"
	}
	return string(state)
}

func worse(a, b status.State) status.State {
	order := map[status.State]int{status.Suspended: 1, status.Unknown: 2, status.Progressing: 3, status.Failed: 4}
	if order[b] > order[a] {
		return b
	}
	return a
}

// shortRevision shortens the digest of a revision as Flux writes it,
// "main@sha1:0123..." or "v1.2.3@sha256:0123...", as git shortens it.
func shortRevision(revision string) string {
	const digits = 7
	head, digest, ok := strings.Cut(revision, ":")
	if !ok || len(digest) <= digits {
		return revision
	}
	if at := strings.LastIndexByte(head, '@'); at >= 0 {
		return head[:at+1] + digest[:digits]
	}
	return digest[:digits]
}

// moment is t on the clock of whoever took the snapshot, with its date when that
// is another day's.
func moment(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// age is how long ago t was, in the two units that matter most.
func age(t, now time.Time) string { return Elapsed(now.Sub(t)) }

// Elapsed writes a duration short: 12s, 3m05s, 2h07m, 4d03h.
func Elapsed(d time.Duration) string {
	seconds := int(max(d, 0) / time.Second)
	minutes, hours := seconds/60, seconds/3600
	switch {
	case minutes == 0:
		return fmt.Sprintf("%ds", seconds)
	case hours == 0:
		return fmt.Sprintf("%dm%02ds", minutes, seconds%60)
	case hours < 24:
		return fmt.Sprintf("%dh%02dm", hours, minutes%60)
	}
	return fmt.Sprintf("%dd%02dh", hours/24, hours%24)
}

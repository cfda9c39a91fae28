package check

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
)

// Explain returns the section of the reference that is about a rule, in Markdown.
func Explain(id string) (string, error) {
	all := every()
	at := slices.IndexFunc(all, func(r Rule) bool { return r.ID == id })
	if at < 0 {
		return "", &UnknownRuleError{id}
	}
	return all[at].section(), nil
}

// Reference returns the reference of all rules, in Markdown.
func Reference() string {
	var b strings.Builder
	all := All()
	fmt.Fprintf(&b, `# Rules

What `+"`archipel lint`"+` finds: %d rules. A finding shows its rule in brackets; the id never changes.
`+"`archipel.yaml`"+` gives a rule another severity, or accepts a finding at one place, with a reason.
A rule that is marked *firm* can be neither lowered nor ignored: where it finds something, the rest
could not be looked at.

The examples are laid over a small valid fleet (`+"`internal/check/testdata/base.txtar`"+`), and a test runs
them. `+"`archipel lint --explain RULE`"+` prints one section.

This page is generated: `+"`make generate`"+` writes it.
`, len(all))
	var groups []Group
	for _, rule := range all {
		if !slices.Contains(groups, rule.Group) {
			groups = append(groups, rule.Group)
		}
	}
	for _, group := range groups {
		fmt.Fprintf(&b, "\n## Group %s\n\n| rule | severity | what it finds |\n|---|---|---|\n", group)
		for _, rule := range all {
			if rule.Group == group {
				fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", rule.ID, rule.ID, rule.level(), tableCell(rule.Summary))
			}
		}
	}
	for _, group := range groups {
		for _, rule := range all {
			if rule.Group == group {
				b.WriteString("\n" + rule.section())
			}
		}
	}
	return b.String()
}

func (r Rule) level() string {
	if r.Firm {
		return r.Severity.String() + ", firm"
	}
	return r.Severity.String()
}

func (r Rule) section() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s, group %s. %s\n\n%s\n", r.ID, r.level(), r.Group, escaped(r.Summary), escaped(r.Reason))
	if r.Bad != "" {
		b.WriteString("\nBad:\n\n" + example(r.Bad))
	}
	switch {
	case r.Good != "":
		b.WriteString("\nGood:\n\n" + example(r.Good))
	case r.Bad != "":
		b.WriteString("\nGood: the fleet without these files.\n")
	}
	return b.String()
}

// example shows the files of an example. What only repeats is left out.
func example(text string) string {
	const most = 8
	archive := txtar.Parse([]byte(text))
	var b strings.Builder
	for line := range strings.Lines(string(archive.Comment)) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(&b, "- %s\n", escaped(line))
		}
	}
	for i, file := range archive.Files {
		if i == most {
			fmt.Fprintf(&b, "\nand %d more like these.\n", len(archive.Files)-most)
			break
		}
		if len(file.Data) == 0 {
			fmt.Fprintf(&b, "- remove: %s\n", escaped(file.Name))
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		// What cannot be seen is shown, and no scanner takes the page for a key or a token.
		content := strings.NewReplacer("\r", "\u240d", "\ufeff", "\u2402", "-----BEGIN ", "-----BEGIN\u00a0", "K100", "K10\u00a00").Replace(string(file.Data))
		fence := "```"
		for strings.Contains(content, fence) {
			fence += "`"
		}
		fmt.Fprintf(&b, "`%s`\n\n%s\n%s%s\n", file.Name, fence, content, fence)
	}
	return b.String()
}

// tableCell escapes what would end a cell of a table or begin a tag.
func tableCell(text string) string { return strings.ReplaceAll(escaped(text), "|", `\|`) }

// escaped keeps text from being read as a tag or as emphasis.
func escaped(text string) string { return strings.NewReplacer("<", `\<`, "*", `\*`).Replace(text) }

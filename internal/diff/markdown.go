package diff

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// MaxComment bounds what Markdown and GitHub write, in bytes: GitHub refuses a
// comment of more than 65536 characters.
const MaxComment = 65_000

// Bounds on the part of a comment that one change may take.
const (
	maxCommentFields = 40
	maxCommentValue  = 200 // bytes
	maxCommentTail   = 12_000
)

// Marker begins what GitHub writes, so that a program finds the comment that it
// wrote before and replaces it.
const Marker = "<!-- archipel diff -->"

// Markdown writes a report as a comment for a merge request: a summary, and a
// collapsed block for each change. It is at most MaxComment bytes long, and says
// how much it left out.
func Markdown(w io.Writer, r *Report) error {
	_, err := io.WriteString(w, comment(r, "### archipel diff\n\n", false))
	return err
}

// GitHub is Markdown that begins with Marker and shows dangers as GitHub's
// alert.
func GitHub(w io.Writer, r *Report) error {
	_, err := io.WriteString(w, comment(r, Marker+"\n### archipel diff\n\n", true))
	return err
}

func comment(r *Report, head string, alert bool) string {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString(escapeMarkdown(summary(r)) + "\n\n")
	if n := r.Dangerous(); n > 0 {
		words := fmt.Sprintf("%s dangerous", count(n, "change")+" "+plural(n, "is", "are"))
		if alert {
			b.WriteString("> [!CAUTION]\n> " + words + ": look at each.\n\n")
		} else {
			b.WriteString("**" + words + ": look at each.**\n\n")
		}
	}
	tail := commentTail(r)
	room := MaxComment - b.Len() - len(tail) - 200 // for what is said about the rest
	var quiet []Change
	heading := ""
	left := 0
	for _, c := range r.Changes {
		if c.Quiet && len(c.Dangers) == 0 {
			quiet = append(quiet, c)
			continue
		}
		// Once one is left out all that follow are: they matter less.
		if left > 0 {
			left++
			continue
		}
		text := changeBlock(c, r.Sites)
		if h := headingOf(c); h != heading {
			heading = h
			text = "#### " + heading + "\n\n" + text
		}
		if len(text) > room {
			left++
			continue
		}
		room -= len(text)
		b.WriteString(text)
	}
	if left > 0 {
		fmt.Fprintf(&b, "**%d more %s not shown here: this comment is full. `archipel diff` shows all.**\n\n", left, plural(left, "change is", "changes are"))
	}
	if len(quiet) > 0 {
		text := "<details><summary>" + count(len(quiet), "object") + " with only labels and annotations that follow</summary>\n\n"
		for _, line := range quietLines(quiet, r.Sites) {
			text += "- " + escapeMarkdown(line) + "\n"
		}
		if text += "\n</details>\n\n"; left == 0 && len(text) <= room {
			b.WriteString(text)
		} else {
			fmt.Fprintf(&b, "%s with only labels and annotations that follow.\n\n", count(len(quiet), "object"))
		}
	}
	return b.String() + tail
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// changeBlock is one collapsed change; a dangerous one is open.
func changeBlock(c Change, all []string) string {
	var b strings.Builder
	open, mark := "", ""
	if len(c.Dangers) > 0 {
		open, mark = " open", "⚠️ "
	}
	fmt.Fprintf(&b, "<details%s><summary>%s%s <code>%s</code>", open, mark, c.Action, escapeMarkdown(c.Subject))
	if sites := siteList(c.Sites, all); sites != "" {
		b.WriteString(" — " + escapeMarkdown(sites))
	}
	b.WriteString("</summary>\n\n")
	for _, danger := range c.Dangers {
		b.WriteString("- ⚠️ " + escapeMarkdown(danger) + "\n")
	}
	if owned := ownerLine(c); owned != "" {
		b.WriteString("- " + escapeMarkdown(owned) + "\n")
	}
	for _, note := range c.Notes {
		b.WriteString("- " + escapeMarkdown(note) + "\n")
	}
	more := c.More
	shown := c.Fields
	if len(shown) > maxCommentFields {
		more += len(shown) - maxCommentFields
		shown = shown[:maxCommentFields]
	}
	if len(shown) > 0 {
		b.WriteString("\n| field | before | after |\n|---|---|---|\n")
		for _, f := range shown {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", code(shorten(clean(f.Path), 300)), cell(f, f.Old, f.Kind != FieldAdded), cell(f, f.New, f.Kind != FieldRemoved))
		}
	}
	if more > 0 {
		fmt.Fprintf(&b, "\nand %s more\n", count(more, "field"))
	}
	b.WriteString("\n</details>\n\n")
	return b.String()
}

// cell is a value in a table; there says whether that side has the field.
func cell(f Field, v any, there bool) string {
	switch {
	case !there:
		return ""
	case f.Masked:
		return "*not shown*"
	case v == nil:
		return "*" + string(f.Kind) + "*"
	}
	return code(word(v, maxCommentValue))
}

func code(text string) string { return "<code>" + escapeMarkdown(text) + "</code>" }

// escapeMarkdown makes text of one line plain: whatever HTML or Markdown would
// read, and what GitHub would link, becomes a character reference.
func escapeMarkdown(text string) string {
	var b strings.Builder
	for _, r := range html.EscapeString(clean(text)) {
		if strings.ContainsRune("|`*_[]~@\\$", r) {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// commentTail says what was not compared.
func commentTail(r *Report) string {
	if len(r.Skipped) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<details><summary>%d not compared</summary>\n\n", len(r.Skipped))
	for i, s := range r.Skipped {
		line := "- " + escapeMarkdown(skippedLine(s, r.Sites)) + "\n"
		if b.Len()+len(line) > maxCommentTail {
			fmt.Fprintf(&b, "- and %d more\n", len(r.Skipped)-i)
			break
		}
		b.WriteString(line)
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

package diff

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes text from a repository safe to print: what is not printable is
// written as Go escapes it. Nothing is dropped, because what differs in such
// characters only must still look different.
func clean(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if !unprintable(r) {
			b.WriteString(s[:size])
		} else if quoted := strconv.Quote(s[:size]); true {
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

// unprintable reports whether a character must not reach a terminal or a
// comment: control characters, what changes the direction of writing, other
// blanks than the usual one, and what is no UTF-8.
func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// clip is a clean text of one line that is not too long.
func clip(s string) string { return shorten(clean(s), 300) }

// word is a value as a person reads it, of at most so many bytes: a text stands
// in quotes where it would look like something else.
func word(v any, most int) string {
	s, isText := v.(string)
	if !isText {
		return shorten(clean(show(v)), most)
	}
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsFunc(s, unprintable) || json.Valid([]byte(s)) {
		return shorten(strconv.Quote(s), most)
	}
	return shorten(s, most)
}

// siteList names the sites of a change in few words; all are those compared.
func siteList(sites, all []string) string {
	const most = 5
	switch {
	case len(sites) == 0:
		return ""
	case len(sites) == len(all) && len(sites) > 2:
		return fmt.Sprintf("all %d sites", len(sites))
	case len(sites) > most:
		return clean(strings.Join(sites[:most-1], ", ")) + fmt.Sprintf(" and %d more", len(sites)-most+1)
	}
	return clean(strings.Join(sites, ", "))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

package status

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMessage bounds a message, in characters: a Helm error may hold a whole
// rendered manifest.
const maxMessage = 300

// oneLine makes text from a cluster fit for one line of a terminal or a log: no
// control characters, no runs of white space, at most maxMessage characters.
// What is cut is the middle, since an error begins with what failed and ends
// with why.
func oneLine(text string) string {
	var line strings.Builder
	space := false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = true
			continue
		case r == utf8.RuneError || !unicode.IsPrint(r):
			continue
		}
		if space && line.Len() > 0 {
			line.WriteByte(' ')
		}
		space = false
		line.WriteRune(r)
	}
	runes := []rune(line.String())
	if len(runes) <= maxMessage {
		return string(runes)
	}
	const tail = maxMessage / 2
	head := maxMessage - tail - len(" ... ")
	return strings.TrimSpace(string(runes[:head])) + " ... " + strings.TrimSpace(string(runes[len(runes)-tail:]))
}

// Package term shows findings, plans, diffs and snapshots on a terminal.
package term

import (
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// defaultWidth is that of a terminal that does not say how wide it is.
const defaultWidth = 80

// unlimited is the width of what is no terminal: a program that reads it must
// find whole names and messages.
const unlimited = math.MaxInt

// Colour is the meaning of a text, not its look.
type Colour int

// The colours.
const (
	Plain Colour = iota
	Good
	Bad
	Busy // under way, or switched off
	Dim  // of less interest
	Bold // a heading
)

// Style says what the reader of a stream can show. The zero value writes plain
// text, and lines as long as they are.
type Style struct {
	Colour bool // escape sequences for colours
	Live   bool // lines may be redrawn
	width  int
	size   func() (columns, rows int)
}

// NewStyle finds out what the reader of w can show. Colours and redrawing need
// a terminal; TERM=dumb turns both off, NO_COLOR (https://no-color.org) the
// colours only. COLUMNS sets the width where w is no terminal.
func NewStyle(w io.Writer, getenv func(string) string) Style {
	var style Style
	if columns, err := strconv.Atoi(getenv("COLUMNS")); err == nil && columns > 0 {
		style.width = columns
	}
	file, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return style
	}
	style.size = func() (int, int) {
		columns, rows, err := term.GetSize(int(file.Fd()))
		if err != nil {
			return 0, 0
		}
		return columns, rows
	}
	capable := getenv("TERM") != "dumb"
	style.Live = capable
	style.Colour = capable && getenv("NO_COLOR") == ""
	return style
}

// Width is the number of columns of a line, at least 20: those of the terminal,
// else COLUMNS, else without limit.
func (s Style) Width() int {
	columns := 0
	if s.size != nil {
		columns, _ = s.size()
	}
	if columns <= 0 {
		columns = s.width
	}
	if columns <= 0 {
		columns = unlimited
		if s.size != nil {
			columns = defaultWidth
		}
	}
	return max(columns, 20)
}

// rows is the number of lines of the screen; 0 when it is not known.
func (s Style) rows() int {
	if s.size == nil {
		return 0
	}
	_, rows := s.size()
	return rows
}

// Paint colours a text. Text from outside goes through Clean first.
func (s Style) Paint(colour Colour, text string) string {
	code := map[Colour]string{Good: "32", Bad: "31", Busy: "33", Dim: "2", Bold: "1"}[colour]
	if !s.Colour || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Clean makes text from outside harmless for a terminal: it drops control
// characters, among them the one that begins an escape sequence, and
// characters that change the direction of writing; tabs and line ends become
// blanks.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
}

// Columns is how many columns a clean text takes.
func Columns(text string) int {
	columns := 0
	for _, r := range text {
		columns += runeColumns(r)
	}
	return columns
}

func runeColumns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut shortens a clean text to at most so many columns and shows that it did.
func Cut(text string, columns int) string {
	if Columns(text) <= columns {
		return text
	}
	var kept strings.Builder
	left := columns - 1
	for _, r := range text {
		if left -= runeColumns(r); left < 0 {
			break
		}
		kept.WriteRune(r)
	}
	if columns < 1 {
		return ""
	}
	return strings.TrimRight(kept.String(), " ") + "…"
}

// Wrap breaks a clean text into lines of at most so many columns, between words
// where it can.
func Wrap(text string, columns int) []string {
	columns = max(columns, 1)
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(text) {
		size := Columns(word)
		if used > 0 && used+1+size <= columns {
			line, used = line+" "+word, used+1+size
			continue
		}
		if used > 0 {
			lines = append(lines, line)
		}
		for size > columns {
			head := hardCut(word, columns)
			lines = append(lines, head)
			word = word[len(head):]
			size = Columns(word)
		}
		line, used = word, size
	}
	if used > 0 || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// hardCut is the longest head of a word that fits, at least one character.
func hardCut(word string, columns int) string {
	for i, r := range word {
		if columns -= runeColumns(r); columns < 0 && i > 0 {
			return word[:i]
		}
	}
	return word
}

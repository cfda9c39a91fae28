package term

import (
	"io"
	"strings"
)

// Cell is one field of a table.
type Cell struct {
	Text   string
	Colour Colour
}

// Table is rows of aligned columns, two blanks apart. Text may come from
// outside: it is cleaned.
type Table struct {
	Indent int
	rows   [][]Cell
}

// Row adds a row.
func (t *Table) Row(cells ...Cell) { t.rows = append(t.rows, cells) }

// Write writes the table. The last cell of a row that is too long for the line
// is cut where the style limits lines.
func (t *Table) Write(w io.Writer, style Style) error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(row)-1 {
				widths[i] = max(widths[i], Columns(Clean(cell.Text)))
			}
		}
	}
	var out strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		pending := t.Indent // blanks owed to what comes next: none at line ends
		used := 0
		for i, cell := range row {
			text := Clean(cell.Text)
			if i == len(row)-1 {
				text = Cut(text, max(style.Width()-used-pending, 8))
			}
			if text != "" {
				line.WriteString(strings.Repeat(" ", pending))
				line.WriteString(style.Paint(cell.Colour, text))
				used += pending + Columns(text)
				pending = 0
			}
			pending += max(widths[i]-Columns(text), 0) + 2
		}
		out.WriteString(line.String() + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

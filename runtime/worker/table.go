package worker

import "strings"

// table writes rows of cells in columns. Nothing is at the end of a line that is not
// in a cell, and no cell looks like two rows, whatever is in it.
type table struct {
	indent string
	rows   [][]string
}

func newTable(indent string) *table { return &table{indent: indent} }

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = oneLine.Replace(cells[i])
	}
	t.rows = append(t.rows, cells)
}

var oneLine = strings.NewReplacer("\n", `\n`, "\t", `\t`)

func (t *table) String() string {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var out strings.Builder
	for _, row := range t.rows {
		line := []string{}
		for i, cell := range row {
			line = append(line, cell+strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
		out.WriteString(strings.TrimRight(t.indent+strings.Join(line, "  "), " ") + "\n")
	}
	return out.String()
}

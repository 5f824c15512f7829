package main

import (
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// table collects rows and prints them in columns, each as wide as its widest cell and padding after it; the last column
// is not padded, so no line ends in blanks.
type table struct {
	header  []string
	rows    [][]string
	padding int

	// width is that of the terminal; 0 leaves every column whole. A wider table puts its columns closer together, then
	// leaves out the optional columns that say nothing, the spare ones and the namespace, then shortens columns with an
	// ellipsis: those of cuts in order, then the first. Scripts read pipes, so nothing is cut there.
	width     int
	optional  []string // headers of columns that may go where every row says the same
	spare     []string // headers of columns that may go whatever they say; -o wide and pipes have them
	namespace string   // of every name in the table; ".namespace" may go from names
	cuts      []cut
	// paint gives the escape sequence to start a cell with; nil or "" leaves it plain.
	paint func(col int, cell string) string
}

// The paddings: of tls-check, which scripts have parsed since 2018, and of every other table (kubectl's).
const (
	tlsCheckPadding = 5
	plainPadding    = 3
	narrowPadding   = 2
)

// cut is a column that may be shortened.
type cut struct {
	header string
	least  int // width below which it is not cut
	keeps  part
}

// part is what is left of a cell that is cut: what tells rows apart.
type part uint8

const (
	keepPort part = iota // of HOST:PORT, and the host's start
	keepStart
	keepEnd
	keepBoth // the middle goes
)

// leastFirst is the width below which the first column is not cut: a name must stay recognisable.
const leastFirst = 12

// table makes a table for standard output.
func (a *app) table(padding int, header ...string) *table {
	t := &table{header: header, padding: padding, width: a.width}
	if a.colour {
		t.paint = func(_ int, cell string) string { return statusColour(cell) }
	}
	return t
}

// add appends a row. Cells are cleaned here, as they hold names from files.
func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = clean(c)
	}
	t.rows = append(t.rows, cells)
}

// write prints the table, header first.
func (t *table) write(w io.Writer) error {
	widths := t.fit()
	var b strings.Builder
	t.line(&b, t.header, widths, nil)
	for _, row := range t.rows {
		t.line(&b, row, widths, t.paint)
		if b.Len() > 1<<16 {
			if _, err := io.WriteString(w, b.String()); err != nil {
				return err
			}
			b.Reset()
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fit measures the columns and narrows them to the terminal.
func (t *table) fit() []int {
	widths := t.measure()
	if t.width == 0 || t.over(widths) <= 0 {
		return widths
	}
	t.padding = narrowPadding
	for _, header := range slices.Concat(t.optional, t.spare) {
		if i := slices.Index(t.header, header); i >= 0 && t.over(widths) > 0 && (slices.Contains(t.spare, header) || t.silent(i)) {
			t.drop(i)
			widths = t.measure()
		}
	}
	if t.namespace != "" && t.over(widths) > 0 {
		t.trim()
		widths = t.measure()
	}
	for _, c := range t.cuts {
		if over, i := t.over(widths), slices.Index(t.header, c.header); over > 0 && i >= 0 {
			widths[i] = min(widths[i], max(c.least, widths[i]-over))
		}
	}
	if over := t.over(widths); over > 0 {
		widths[0] = t.first(widths[0], widths[0]-over)
	}
	return widths
}

func (t *table) measure() []int {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	return widths
}

// over is by how much the table is wider than the terminal.
func (t *table) over(widths []int) int {
	n := -t.padding
	for _, w := range widths {
		n += w + t.padding
	}
	return n - t.width
}

// silent says whether a column says nothing: the same in every row, and in a single row no more than "-".
func (t *table) silent(col int) bool {
	return !slices.ContainsFunc(t.rows, func(row []string) bool {
		return row[col] != t.rows[0][col] || len(t.rows) == 1 && row[col] != "-"
	})
}

// drop leaves a column out.
func (t *table) drop(col int) {
	t.header = slices.Delete(slices.Clone(t.header), col, col+1)
	for k := range t.rows {
		t.rows[k] = slices.Delete(t.rows[k], col, col+1)
	}
}

// trim takes the namespace that all names share off them, before their ports and subsets.
func (t *table) trim() {
	for _, row := range t.rows {
		for i, c := range row {
			host, tail := splitTail(c)
			row[i] = strings.TrimSuffix(host, "."+t.namespace) + tail
		}
	}
}

// first chooses a width for the first column. What fits is best, as long as names can be recognised; where nothing that
// can be read fits, lines will wrap anyway, and the column keeps the name and namespace of every host.
func (t *table) first(whole, fitting int) int {
	if fitting >= leastFirst {
		return fitting
	}
	short := utf8.RuneCountInString(t.header[0])
	for _, row := range t.rows {
		host, tail := splitTail(row[0])
		name, _, long := strings.Cut(host, ".svc.")
		if !long {
			return whole
		}
		short = max(short, utf8.RuneCountInString(name)+1+utf8.RuneCountInString(tail))
	}
	return min(whole, short)
}

func (t *table) line(b *strings.Builder, row []string, widths []int, paint func(int, string) string) {
	for i, c := range row {
		c = t.shorten(c, i, widths[i])
		start := ""
		if paint != nil {
			start = paint(i, c)
		}
		b.WriteString(start)
		b.WriteString(c)
		if start != "" {
			b.WriteString("\x1b[0m")
		}
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+t.padding))
		}
	}
	b.WriteByte('\n')
}

func (t *table) shorten(c string, col, width int) string {
	n := utf8.RuneCountInString(c)
	i := slices.IndexFunc(t.cuts, func(x cut) bool { return x.header == t.header[col] })
	if n <= width || i < 0 || t.cuts[i].keeps == keepPort {
		return shorten(c, width)
	}
	start := map[part]int{keepStart: width - 1, keepBoth: width / 2}[t.cuts[i].keeps]
	r := []rune(c)
	return string(r[:start]) + "…" + string(r[n-(width-1-start):])
}

// shorten cuts HOST:PORT to width before its port (and subset), so that what distinguishes rows of one host stays:
// productpage.bookinfo…:9080.
func shorten(s string, width int) string {
	n := utf8.RuneCountInString(s)
	if n <= width {
		return s
	}
	host, tail := splitTail(s)
	keep := width - 1 - utf8.RuneCountInString(tail)
	if keep < 1 {
		host, tail, keep = s, "", max(width-1, 0)
	}
	return string([]rune(host)[:keep]) + "…" + tail
}

// splitTail takes the port, and the subset before it, off a HOST:PORT.
func splitTail(s string) (host, tail string) {
	i := strings.LastIndexByte(s, '|')
	if i <= 0 {
		i = strings.LastIndexByte(s, ':')
	}
	if i <= 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// statusColour colours the words of a STATUS or LOCK column. Colour is an aid: the words say the same.
func statusColour(cell string) string {
	switch cell {
	case "OK", "AUTO", "locked":
		return "\x1b[32m"
	case "CONFLICT", "broken", "open":
		return "\x1b[31m"
	case "MAY CONFLICT", "MIXED", "mixed", "UNKNOWN":
		return "\x1b[33m"
	case "not captured":
		return "\x1b[2m"
	}
	return ""
}

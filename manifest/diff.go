package manifest

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Diff prints edits as one unified diff, which patch and git apply take: names begin with a/ and b/, a file that is
// created or removed is /dev/null on one side. No more lines are in it than must be.
func Diff(edits []FileEdit) string {
	var b strings.Builder
	for _, e := range edits {
		before, after := "a/"+e.Name, "b/"+e.Name
		if e.Before == nil {
			before = "/dev/null"
		}
		if e.After == nil {
			after = "/dev/null"
		}
		d := lineDiff{old: splitLines(e.Before), new: splitLines(e.After)}
		if d.compare() {
			if hunks := d.hunks(); hunks != "" {
				fmt.Fprintf(&b, "--- %s\n+++ %s\n%s", before, after, hunks)
			}
			continue
		}
		// So much has changed that finding the shortest way would take long.
		text := diff.Diff(before, e.Before, after, e.After)
		_, text, _ = bytes.Cut(text, []byte("\n")) // a line that repeats the names
		b.Write(text)
	}
	return b.String()
}

// splitLines gives the lines, each with its end.
func splitLines(text []byte) []string {
	lines := strings.SplitAfter(string(text), "\n")
	return lines[:len(lines)-1+min(1, len(lines[len(lines)-1]))]
}

// lineDiff compares the lines of two texts.
type lineDiff struct {
	old, new []string
	kept     []int // for each old line its place among the new ones; -1 where it is gone
}

const (
	mostChanged  = 1000 // lines, up to which the shortest way is looked for
	contextLines = 3    // lines around a change
)

// compare finds a longest common sequence of lines; false where too much has changed.
func (d *lineDiff) compare() bool {
	d.kept = make([]int, len(d.old))
	for i := range d.kept {
		d.kept[i] = -1
	}
	start, a, b := 0, len(d.old), len(d.new)
	for start < a && start < b && d.old[start] == d.new[start] {
		d.kept[start] = start
		start++
	}
	for a > start && b > start && d.old[a-1] == d.new[b-1] {
		a, b = a-1, b-1
		d.kept[a] = b
	}
	return d.shortest(start, a, b)
}

// shortest is the algorithm of Myers (1986) on old[start:a] and new[start:b]. A diagonal k holds the places where k more old
// lines than new ones are behind us; reach[k] is how far into the old lines a way with n changes comes on it.
func (d *lineDiff) shortest(start, a, b int) bool {
	n, m := a-start, b-start
	most := min(n+m, mostChanged)
	reach := make([]int, 2*most+3)
	mid := most + 1
	var steps [][]int // reach as it was before each number of changes
	for changes := 0; changes <= most; changes++ {
		steps = append(steps, append([]int(nil), reach[mid-changes-1:mid+changes+2]...))
		for k := -changes; k <= changes; k += 2 {
			x := reach[mid+k-1] + 1
			if k == -changes || k != changes && reach[mid+k-1] < reach[mid+k+1] {
				x = reach[mid+k+1]
			}
			for x < n && x-k < m && d.old[start+x] == d.new[start+x-k] {
				x++
			}
			reach[mid+k] = x
			if x >= n && x-k >= m {
				d.walkBack(start, n, m, steps)
				return true
			}
		}
	}
	return false
}

// walkBack notes the lines that the shortest way keeps, from its end.
func (d *lineDiff) walkBack(start, x, y int, steps [][]int) {
	for changes := len(steps) - 1; changes >= 0; changes-- {
		reach, k := steps[changes], x-y
		at := func(k int) int { return reach[k+changes+1] }
		from := k - 1
		if k == -changes || k != changes && at(k-1) < at(k+1) {
			from = k + 1
		}
		fromX, fromY := at(from), at(from)-from
		if changes == 0 {
			fromX, fromY = 0, 0
		}
		for x > fromX && y > fromY {
			x, y = x-1, y-1
			d.kept[start+x] = start + y
		}
		x, y = fromX, fromY
	}
}

// hunks prints the changes with the lines around them.
func (d *lineDiff) hunks() string {
	var out, hunk strings.Builder
	var oldStart, newStart, oldCount, newCount int
	flush := func() {
		if hunk.Len() > 0 {
			fmt.Fprintf(&out, "@@ -%s +%s @@\n%s", hunkSpan(oldStart, oldCount), hunkSpan(newStart, newCount), hunk.String())
			hunk.Reset()
		}
	}
	until := 0 // the old line where the context of the last change ends
	for i, j := 0, 0; i < len(d.old) || j < len(d.new); {
		if i < len(d.old) && d.kept[i] == j {
			if hunk.Len() > 0 && i < until {
				writeLine(&hunk, ' ', d.old[i])
				oldCount, newCount = oldCount+1, newCount+1
			}
			i, j = i+1, j+1
			continue
		}
		lead := min(i, contextLines)
		if hunk.Len() > 0 && i-until <= contextLines {
			lead = max(0, i-until)
		} else {
			flush()
			oldStart, newStart, oldCount, newCount = i-lead, j-lead, 0, 0
		}
		for _, line := range d.old[i-lead : i] {
			writeLine(&hunk, ' ', line)
		}
		oldCount, newCount = oldCount+lead, newCount+lead
		for ; i < len(d.old) && d.kept[i] < 0; i++ {
			writeLine(&hunk, '-', d.old[i])
			oldCount++
		}
		for ; j < len(d.new) && (i == len(d.old) || d.kept[i] != j); j++ {
			writeLine(&hunk, '+', d.new[j])
			newCount++
		}
		until = i + contextLines
	}
	flush()
	return out.String()
}

// hunkSpan gives "first,count" for lines that are counted from 1; of none, the line before.
func hunkSpan(start, count int) string {
	if count > 0 {
		start++
	}
	return fmt.Sprintf("%d,%d", start, count)
}

func writeLine(b *strings.Builder, mark byte, line string) {
	b.WriteByte(mark)
	b.WriteString(line)
	if !strings.HasSuffix(line, "\n") {
		b.WriteString("\n\\ No newline at end of file\n")
	}
}

package casefile

import (
	"fmt"
	"io"
	"strings"
)

// Format writes the failures of some results, each with what was wanted and what came side by side, then a line that
// counts: `41 cases passed, 1 failed`. A case that runs in several dialects counts once for each.
func Format(w io.Writer, results []Result) error {
	var b strings.Builder
	failed := 0
	for _, r := range results {
		if !r.Passed() {
			failed++
			b.WriteString(r.String())
		}
	}
	fmt.Fprintf(&b, "%s passed, %d failed\n", count(len(results)-failed, "case"), failed)
	_, err := io.WriteString(w, b.String())
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// String gives one line for a case that passed, and the whole difference for one that did not.
func (r Result) String() string {
	word := "ok"
	if !r.Passed() {
		word = "FAIL"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:%d: %s", word, r.File, r.Line, r.ID)
	if r.Title != "" {
		b.WriteString(" " + r.Title)
	}
	fmt.Fprintf(&b, " (dialect %s)\n", r.Dialect)
	for _, f := range r.Failures {
		f.write(&b)
	}
	return b.String()
}

func (f Failure) write(b *strings.Builder) {
	fmt.Fprintf(b, "  %s:%d: %s\n", f.File, f.Line, f.What)
	if f.Message != "" {
		b.WriteString("      " + strings.ReplaceAll(f.Message, "\n", "\n      ") + "\n")
	}
	f.writeRows(b)
	if len(f.Reasons) > 0 {
		b.WriteString("      reasons given:\n")
		for _, r := range f.Reasons {
			b.WriteString("        " + r + "\n")
		}
	}
}

// writeRows aligns what was wanted with what came; an exclamation mark stands before each line that differs.
func (f Failure) writeRows(b *strings.Builder) {
	if len(f.Rows) == 0 {
		return
	}
	keys, wants := len("key"), len("want")
	for _, r := range f.Rows {
		keys, wants = max(keys, len(r.Key)), max(wants, len(r.Want))
	}
	fmt.Fprintf(b, "      %-*s  %-*s  %s\n", keys, "key", wants, "want", "got")
	for _, r := range f.Rows {
		mark := " "
		if r.Differs {
			mark = "!"
		}
		fmt.Fprintf(b, "    %s %-*s  %-*s  %s\n", mark, keys, r.Key, wants, r.Want, r.Got)
	}
}

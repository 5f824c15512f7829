package manifest

import (
	"bytes"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Diff prints edits as one unified diff, which patch and git apply take: names begin with a/ and b/, a file that is
// created or removed is /dev/null on one side.
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
		text := diff.Diff(before, e.Before, after, e.After)
		_, text, _ = bytes.Cut(text, []byte("\n")) // a line that repeats the names
		b.Write(text)
	}
	return b.String()
}

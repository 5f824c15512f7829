package change

import (
	"bytes"
	"os"
	"regexp"
	"testing"
)

// archive is a txtar file: a head, then files that each begin with a line `-- NAME --`.
type archive struct {
	head  []byte
	files []archiveFile
}

type archiveFile struct {
	name string
	data []byte
}

var separator = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

func readArchive(t *testing.T, name string) *archive {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := separator.FindAllSubmatchIndex(text, -1)
	if len(at) == 0 {
		return &archive{head: text}
	}
	a := &archive{head: text[:at[0][0]]}
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		a.files = append(a.files, archiveFile{string(text[m[2]:m[3]]), bytes.Clone(text[m[1]:end])})
	}
	return a
}

func (a *archive) bytes() []byte {
	out := bytes.Clone(a.head)
	for _, f := range a.files {
		out = append(out, "-- "+f.name+" --\n"...)
		out = append(out, f.data...)
	}
	return out
}

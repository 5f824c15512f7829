package main

import (
	"strings"

	"github.com/oarlock/oarlock/resolve"
)

// again is this command with one argument exchanged, for a `try:` line; an empty old appends.
func (a *app) again(old, with string) string {
	words := []string{"oarlock"}
	for i, w := range a.args {
		if old != "" && w == old && !a.flagValue(i) {
			w = with
		}
		words = append(words, quoteWord(w))
	}
	if old == "" {
		words = append(words, with)
	}
	return strings.Join(words, " ")
}

// againNear is this command with the name that is most like the one typed, "" where none is.
func (a *app) againNear(typed string, names []string) string {
	if near := nearest(typed, names); near != "" {
		return a.again(typed, near)
	}
	return ""
}

// same is this command, to be given once more.
func (a *app) same() string {
	words := []string{"oarlock"}
	for _, w := range a.args {
		words = append(words, quoteWord(w))
	}
	return strings.Join(words, " ")
}

// flagValue says whether an argument is the value of the flag before it: a folder may be called like the namespace in it.
func (a *app) flagValue(i int) bool {
	if i == 0 {
		return false
	}
	switch a.args[i-1] {
	case "-f", "--filename", "-n", "--namespace", "-o", "--output", "--dialect", "--color", "--fail-on", "--timeout",
		"--mesh", "--kubeconfig", "--context", "--against", "--window", "--dir", "-d", "--to":
		return true
	}
	return false
}

// quoteWord quotes an argument for a shell where it needs that.
func quoteWord(s string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+"
	if s != "" && strings.Trim(s, safe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// nearestClient gives the client name that is most like what was typed, "" where none is near.
func (l *loaded) nearestClient(typed string) string {
	var names []string
	for _, w := range l.snap.Workloads {
		name := l.clientName(resolve.Client{Workload: w})
		// People type either form, and each should be near to itself.
		names = append(names, w.Ref.Name, name)
	}
	names = append(names, outsideWord, outsideWord)
	near := nearest(typed, names)
	if i := strings.LastIndexByte(typed, '.'); near == "" && i > 0 {
		near = nearest(typed[:i], names) // another namespace
	}
	for i := 0; i < len(names); i += 2 {
		if names[i] == near {
			return names[i+1]
		}
	}
	return near
}

// nearestHost gives the full host of the service whose name is most like what was typed, "" where none is near.
func (l *loaded) nearestHost(typed string) string {
	var names []string
	for _, s := range l.snap.Services {
		names = append(names, s.Ref.Name, s.Ref.Name+"."+s.Ref.Namespace, s.Hostname)
	}
	near := nearest(typed, names)
	for i, name := range names {
		if name == near {
			return names[i-i%3+2]
		}
	}
	return ""
}

// nearest gives the name with the fewest slips from typed, the first of several; "" where all are too far: more than one
// slip in a short name, or than a fifth of a long one.
func nearest(typed string, names []string) string {
	best, found := 2+len(typed)/5, ""
	for _, name := range names {
		if d := distance(typed, name, best); d < best {
			best, found = d, name
		}
	}
	return found
}

// distance counts the slips between two strings: a letter too many, missing, wrong, or swapped with the next. A distance of
// limit or more counts as limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			if a[i-1] == b[j-1] {
				row[j] = last[j-1]
			} else {
				row[j] = 1 + min(last[j-1], last[j], row[j-1])
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					row[j] = min(row[j], 1+before[j-2])
				}
			}
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}

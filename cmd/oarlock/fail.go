package main

// The voice of the command line:
//
//   - Standard output carries the answer and nothing else; everything about the answer goes to standard error.
//   - An error is one line, `oarlock: verb object: cause`, in lower case, with names in quotes where they could be
//     mistaken for prose, and without "failed to".
//   - Where there is a command that helps, it follows on a line of its own: `try: oarlock ...`, ready to paste.
//   - A problem in a file starts with its place, `file:line:col: `, as compilers print it, so that editors can jump there.
//   - Text that comes from a file is printed with its control characters escaped.
//   - Colour adds nothing that the words do not say.

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// exit is the status that the process ends with; the numbers are part of the command line's contract.
type exit int

const (
	exitOK         exit = iota
	exitFindings        // findings at or over --fail-on; they are on standard output, so there is no message
	exitUsage           // the command line makes no sense
	exitUnreadable      // the mesh, or a part of it, could not be read
	exitRefused         // the change was refused; nothing was written
)

// failure is an error that knows the exit status that it asks for.
type failure struct {
	code exit
	err  error  // nil where everything was said already
	try  string // a command to type, without "try: "; "" where there is none
}

// Error gives the message without the hint.
func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit status %d", f.code)
	}
	return f.err.Error()
}

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// usage is a failure of the command line itself (exit 2).
func usage(err error, try string) error { return &failure{exitUsage, err, try} }

// unreadable is a failure to read the mesh (exit 3).
func unreadable(err error, try string) error { return &failure{exitUnreadable, err, try} }

// refused is a change that was not made (exit 4).
func refused(err error, try string) error { return &failure{exitRefused, err, try} }

// findings ends a command that worked and found something (exit 1).
func findings() error { return &failure{code: exitFindings} }

// asFailure gives every error an exit status: its own, or other for one that does not say.
func asFailure(err error, other exit) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return &failure{code: other, err: err}
}

// clean escapes what a terminal would obey and what would break a line.
func clean(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// shown is text of several lines for standard output: as it is for a program, which may be `patch`, and for a terminal
// without what it would obey.
func (a *app) shown(text string) string {
	if a.width == 0 {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && r != '\r' && unprintable(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// unprintable includes the invisible characters that reorder text (U+202E and its kind) and invalid UTF-8.
func unprintable(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }

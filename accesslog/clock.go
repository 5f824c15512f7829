package accesslog

import (
	"fmt"
	"strconv"
	"time"
)

// A clock writes and reads %START_TIME%: one of strftime's formats, in parts. Times are in UTC.
type clock []clockPart

// A clockPart is literal text, or one conversion.
type clockPart struct {
	literal    string
	conversion byte // 0 for a literal
	unit       int  // of a fraction of a second, in nanoseconds
	digits     int  // of a fraction of a second, or of a number; of seconds, how many digits of a fraction follow
}

// isoClock is the format where none is given: 2020-11-25T21:26:18.409Z.
var isoClock = clock{
	{conversion: 'Y', digits: 4}, {literal: "-"}, {conversion: 'm', digits: 2}, {literal: "-"}, {conversion: 'd', digits: 2},
	{literal: "T"}, {conversion: 'H', digits: 2}, {literal: ":"}, {conversion: 'M', digits: 2}, {literal: ":"},
	{conversion: 'S', digits: 2}, {literal: "."}, {conversion: 'f', digits: 3, unit: 1e6}, {literal: "Z"},
}

// parseClock reads the conversions %Y %m %d %H %M %S, %F and %T, %s (seconds since 1970; %3s has milliseconds after it, up
// to %9s), %f (nanoseconds; %3f milliseconds), %z, %Z and %%.
func parseClock(s string) (clock, error) {
	if s == "" {
		return isoClock, nil
	}
	var out clock
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' {
			return nil, fmt.Errorf("parse time format %q: control character", s)
		}
		if s[i] != '%' {
			out = out.text(s[i : i+1])
			continue
		}
		i++
		digits := 0
		if i < len(s) && '1' <= s[i] && s[i] <= '9' {
			digits = int(s[i] - '0')
			i++
		}
		if i == len(s) {
			return nil, fmt.Errorf("parse time format %q: it ends in %%", s)
		}
		next, err := out.convert(s[i], digits)
		if err != nil {
			return nil, fmt.Errorf("parse time format %q: %w", s, err)
		}
		out = next
	}
	return out, nil
}

func (c clock) text(s string) clock {
	if n := len(c); n > 0 && c[n-1].conversion == 0 {
		c[n-1].literal += s
		return c
	}
	return append(c, clockPart{literal: s})
}

func (c clock) convert(conversion byte, digits int) (clock, error) {
	if digits > 0 && conversion != 'f' && conversion != 's' {
		return nil, fmt.Errorf("%%%d%c is not known", digits, conversion)
	}
	switch conversion {
	case '%':
		return c.text("%"), nil
	case 'F':
		return append(c, isoClock[:5]...), nil
	case 'T':
		return append(c, isoClock[6:11]...), nil
	case 'Y':
		return append(c, clockPart{conversion: 'Y', digits: 4}), nil
	case 'm', 'd', 'H', 'M', 'S':
		return append(c, clockPart{conversion: conversion, digits: 2}), nil
	case 'f':
		if digits == 0 {
			digits = 9
		}
		return append(c, clockPart{conversion: 'f', digits: digits, unit: powerOfTen(9 - digits)}), nil
	case 's':
		c = append(c, clockPart{conversion: 's', digits: digits})
		if digits > 0 {
			c = append(c, clockPart{conversion: 'f', digits: digits, unit: powerOfTen(9 - digits)})
		}
		return c, nil
	case 'z':
		return c.text("+0000"), nil
	case 'Z':
		return c.text("UTC"), nil
	}
	return nil, fmt.Errorf("%%%c is not known", conversion)
}

// append writes a time. Nothing that it writes needs an escape.
func (c clock) append(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	for _, p := range c {
		switch p.conversion {
		case 0:
			dst = append(dst, p.literal...)
		case 'Y':
			dst = appendDigits(dst, max(year, 0), p.digits)
		case 'm':
			dst = appendDigits(dst, int(month), p.digits)
		case 'd':
			dst = appendDigits(dst, day, p.digits)
		case 'H':
			dst = appendDigits(dst, hour, p.digits)
		case 'M':
			dst = appendDigits(dst, minute, p.digits)
		case 'S':
			dst = appendDigits(dst, second, p.digits)
		case 's':
			dst = strconv.AppendInt(dst, t.Unix(), 10)
		case 'f':
			dst = appendDigits(dst, t.Nanosecond()/p.unit, p.digits)
		}
	}
	return dst
}

// appendDigits writes n with leading zeros.
func appendDigits(dst []byte, n, digits int) []byte {
	switch digits {
	case 2:
		return append(dst, '0'+byte(n/10), '0'+byte(n%10))
	case 3:
		return append(dst, '0'+byte(n/100), '0'+byte(n/10%10), '0'+byte(n%10))
	}
	for i := powerOfTen(digits - 1); i > 0; i /= 10 {
		dst = append(dst, '0'+byte(n/i%10))
	}
	return dst
}

func powerOfTen(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

// parse reads what append writes from the begin of s and gives the rest. A format without a date gives a time of the year 1.
func (c clock) parse(s string) (t time.Time, rest string, err error) {
	v := map[byte]int{'Y': 1, 'm': 1, 'd': 1}
	rest = s
	for _, p := range c {
		n := len(p.literal)
		switch {
		case p.conversion == 's':
			n = max(digitsAtBegin(rest)-p.digits, 0)
		case p.conversion != 0:
			n = p.digits
		}
		if len(rest) < n || p.conversion == 0 && rest[:n] != p.literal {
			return time.Time{}, "", fmt.Errorf("parse time %q: want %q", s, p.literal)
		}
		if p.conversion != 0 {
			if n == 0 || digitsAtBegin(rest[:n]) != n {
				return time.Time{}, "", fmt.Errorf("parse time %q: want %d digits", s, p.digits)
			}
			number, err := strconv.Atoi(rest[:n])
			if err != nil || number > 1<<40 {
				return time.Time{}, "", fmt.Errorf("parse time %q: out of range", s)
			}
			if p.conversion == 'f' {
				number *= powerOfTen(9 - n)
			}
			v[p.conversion] = number
		}
		rest = rest[n:]
	}
	t, err = timeOf(s, v)
	return t, rest, err
}

// timeOf puts a time together and refuses a 30th of February.
func timeOf(s string, v map[byte]int) (time.Time, error) {
	if seconds, ok := v['s']; ok {
		return time.Unix(int64(seconds), int64(v['f'])).UTC(), nil
	}
	t := time.Date(v['Y'], time.Month(v['m']), v['d'], v['H'], v['M'], v['S'], v['f'], time.UTC)
	if t.Year() != v['Y'] || int(t.Month()) != v['m'] || t.Day() != v['d'] || t.Hour() != v['H'] || t.Minute() != v['M'] || t.Second() != v['S'] {
		return time.Time{}, fmt.Errorf("parse time %q: no such time", s)
	}
	return t, nil
}

func digitsAtBegin(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

package manifest

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar gives v the value of a scalar as sigs.k8s.io/yaml reads it: YAML 1.1 for words and numbers, timestamps are text.
func (c *converter) scalar(v *value, n *yaml.Node) error {
	v.text = n.Value
	if n.Style&yaml.TaggedStyle != 0 {
		return c.tagged(v, n)
	}
	if n.Style != 0 {
		v.kind, v.block = textValue, n.Style&yaml.LiteralStyle != 0
		return nil
	}
	plain(v)
	return c.finite(v, n)
}

// finite refuses the numbers that JSON does not have.
func (c *converter) finite(v *value, n *yaml.Node) error {
	if v.kind == floatValue && (math.IsInf(v.float, 0) || math.IsNaN(v.float)) {
		return c.fail(n, "quote it if it is meant as text", "the number %s does not exist in JSON", n.Value)
	}
	return nil
}

// tagged reads a scalar with a tag of its own, such as !!str. Tags that YAML does not define leave text.
func (c *converter) tagged(v *value, n *yaml.Node) error {
	tag := n.ShortTag()
	switch tag {
	case "!!int", "!!float", "!!bool", "!!null":
		plain(v)
	case "!!binary":
		data, err := base64.StdEncoding.DecodeString(n.Value)
		if err != nil {
			return c.fail(n, "", "!!binary wants base64")
		}
		v.kind, v.text = textValue, string(data)
		return nil
	default:
		v.kind = textValue
		return nil
	}
	if tag == "!!float" && v.kind == intValue {
		v.kind, v.float = floatValue, float64(v.int)
	}
	want := map[string]valueKind{"!!int": intValue, "!!float": floatValue, "!!bool": boolValue, "!!null": nullValue}[tag]
	if v.kind != want {
		return c.fail(n, "", "%q is not what the tag %s says", shorten(n.Value), tag)
	}
	return c.finite(v, n)
}

// plain finds out what a scalar without quotes and tag is.
func plain(v *value) {
	s := v.text
	v.kind = textValue
	if s == "" {
		v.kind = nullValue
		return
	}
	switch ch := s[0]; {
	case ch >= '0' && ch <= '9', ch == '+', ch == '-', ch == '.':
		plainNumber(v)
	case strings.IndexByte("yYnNtTfFoO~", ch) >= 0 && len(s) <= 5:
		plainWord(v)
	}
}

// plainWord knows the words of YAML 1.1, in the three spellings that count.
func plainWord(v *value) {
	switch v.text {
	case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		v.kind, v.truth = boolValue, true
	case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		v.kind = boolValue
	case "~", "null", "Null", "NULL":
		v.kind = nullValue
	}
}

func plainNumber(v *value) {
	switch v.text {
	case ".nan", ".NaN", ".NAN":
		v.kind, v.float = floatValue, math.NaN()
		return
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF":
		v.kind, v.float = floatValue, math.Inf(1)
		return
	}
	if v.text[0] == '.' {
		// No underscores here, unlike below: that is how the reference reads them.
		if f, err := strconv.ParseFloat(v.text, 64); err == nil {
			v.kind, v.float = floatValue, f
		}
		return
	}
	s := strings.ReplaceAll(v.text, "_", "")
	if n, ok := parseInteger(s); ok {
		v.kind, v.int = intValue, n
	} else if u, err := strconv.ParseUint(s, 0, 64); err == nil {
		v.kind, v.float = floatValue, float64(u) // too large for int64
	} else if isDecimal(s) {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			v.kind, v.float = floatValue, f
		}
	}
}

// parseInteger reads decimal, 0x, 0o and 0b numbers, and octal ones that begin with a mere 0.
func parseInteger(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 0, 64)
	return n, err == nil
}

// isDecimal matches [-+]?(digits[.digits]|.digits)([eE][-+]?digits)?.
func isDecimal(s string) bool {
	digits := func() bool {
		rest := strings.TrimLeft(s, "0123456789")
		found := len(rest) < len(s)
		s = rest
		return found
	}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	whole := digits()
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		if !digits() && !whole {
			return false
		}
	} else if !whole {
		return false
	}
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	if s = s[1:]; s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	return digits() && s == ""
}

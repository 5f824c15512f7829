package manifest

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/oarlock/oarlock/mesh"
)

// Marshal prints an object as one YAML document, as people write it: keys in the customary order, two spaces of
// indentation, quotes only where a value needs them. It ends with a line break and has no separator.
func Marshal(t mesh.Tree) []byte {
	return []byte(plainStyle().block(t, 0) + "\n")
}

// style is how a document is laid out.
type style struct {
	step  int  // of a mapping inside a mapping
	seq   int  // of a sequence inside a mapping: 0 or more
	quote byte // of strings that need quotes
	json  bool // every string and key is quoted as JSON wants it
}

func plainStyle() style { return style{step: 2, seq: 2, quote: '"'} }

// styleOf takes the layout of a document: the first nested mapping and sequence decide, and the most frequent quotes.
func styleOf(root *yaml.Node) style {
	var w styleWalk
	w.node(root)
	st := plainStyle()
	if w.step > 0 {
		st.step = w.step
	}
	if w.sequence {
		st.seq = w.seq
	}
	if w.single > w.double {
		st.quote = '\''
	}
	if first := root.Content; len(first) > 0 && root.Style&yaml.FlowStyle != 0 && first[0].Line > root.Line && first[0].Column > 1 {
		st.step = first[0].Column - 1
	}
	st.json = root.Style&yaml.FlowStyle != 0 && len(root.Content) > 0 && root.Content[0].Style&yaml.DoubleQuotedStyle != 0
	return st
}

// styleWalk gathers what a document's nodes show of its layout.
type styleWalk struct {
	step, seq      int
	sequence       bool
	single, double int
}

func (w *styleWalk) node(n *yaml.Node) {
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		w.single++
	case n.Style&yaml.DoubleQuotedStyle != 0:
		w.double++
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 && i%2 == 1 && c.Style&yaml.FlowStyle == 0 && c.Anchor == "" {
			w.pair(n.Content[i-1], c)
		}
		w.node(c)
	}
}

func (w *styleWalk) pair(key, value *yaml.Node) {
	depth := value.Column - key.Column
	switch {
	case value.Line <= key.Line || depth < 0:
	case value.Kind == yaml.MappingNode && w.step == 0:
		w.step = depth
	case value.Kind == yaml.SequenceNode && !w.sequence:
		w.seq, w.sequence = depth, true
	}
}

// customary is the order in which people write the keys of the objects that Oarlock makes and edits. Other keys follow
// by name.
const customary = ` apiVersion kind metadata name namespace labels annotations type number
 hosts host exportTo workloadSelector selector matchLabels mtls portLevelMtls targets peers peerIsOptional origins
 originIsOptional principalBinding mode port simple addresses ports location resolution loadBalancer connectionPool outlierDetection
 clientCertificate privateKey caCertificates credentialName subjectAltNames sni tls trafficPolicy portLevelSettings subsets
 egress ingress spec data status items `

// keyRank orders keys: the customary ones in their order, then the others.
func keyRank(key string) int {
	if i := strings.Index(customary, " "+key+" "); i >= 0 {
		return i
	}
	if i := strings.Index(customary, "\n "+key+" "); i >= 0 {
		return i
	}
	return len(customary)
}

// freeKeys says whether the mapping under key has keys of the user's own, to be ordered by name.
func freeKeys(key string) bool {
	switch key {
	case "labels", "annotations", "matchLabels", "data", "portLevelMtls":
		return true
	}
	return false
}

// sortedKeys orders the keys of the mapping that stands under parent.
func sortedKeys(m map[string]any, parent string) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int { return compareKeys(a, b, parent) })
}

func compareKeys(a, b, parent string) int {
	if freeKeys(parent) {
		return compareNames(a, b)
	}
	return cmp.Or(cmp.Compare(keyRank(a), keyRank(b)), compareNames(a, b))
}

// compareNames orders names, and ports by number.
func compareNames(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a, b)
}

// block prints a mapping or sequence that is not empty as lines at a column, without the last line break. Everything
// else it prints as inline does, after the same indentation.
func (st style) block(v any, col int) string {
	return strings.Repeat(" ", col) + st.compact(v, col, "")
}

// compact prints a value whose first line starts where the text already is, at column col: after a dash, for example.
func (st style) compact(v any, col int, parent string) string {
	var b strings.Builder
	line := func(i int) {
		if i > 0 {
			b.WriteByte('\n')
			b.WriteString(strings.Repeat(" ", col))
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for i, k := range sortedKeys(v, parent) {
			line(i)
			b.WriteString(st.pair(k, v[k], col))
		}
	case []any:
		for i, e := range v {
			line(i)
			b.WriteString("- " + st.compact(e, col+2, ""))
		}
	}
	if b.Len() == 0 {
		return st.inline(v, false)
	}
	return b.String()
}

// pair prints a key with its value, the key at column col.
func (st style) pair(key string, v any, col int) string {
	text := st.key(key) + ":"
	switch w := v.(type) {
	case map[string]any:
		if len(w) > 0 {
			at := col + st.step
			return text + "\n" + strings.Repeat(" ", at) + st.compact(v, at, key)
		}
	case []any:
		if len(w) > 0 {
			return text + "\n" + st.block(v, col+st.seq)
		}
	}
	return text + " " + st.inline(v, false)
}

// inline prints a value on one line: a scalar, or a collection in brackets.
func (st style) inline(v any, flow bool) string {
	switch v := v.(type) {
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range sortedKeys(v, "") {
			parts = append(parts, st.key(k)+": "+st.inline(v[k], true))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			parts = append(parts, st.inline(e, true))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return st.str(v, flow)
	}
	return jsonText(v)
}

// jsonText prints a scalar as JSON, which is YAML too.
func jsonText(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "null" // not a value of a Tree; the check after the edit refuses it
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// str prints a string with quotes where it needs them.
func (st style) str(s string, flow bool) string {
	switch {
	case st.json:
		return jsonText(s)
	case plainText(s, flow):
		return s
	}
	return quoted(s, st.quote)
}

// key prints a key. A whole number needs no quotes: keys are always strings once they are read.
func (st style) key(k string) string {
	switch {
	case st.json:
		return jsonText(k)
	case decimal.MatchString(k):
		return k
	case len(k) > 100: // the parser wants a plain key's colon within 1024 bytes
		return quoted(k, '"')
	}
	return st.str(k, true)
}

// quoted puts a string in quotes: single ones only where nothing must be escaped.
func quoted(s string, quote byte) string {
	if quote == '\'' && !strings.ContainsFunc(s, mustEscape) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case !mustEscape(r):
			b.WriteRune(r)
		case r <= 0xffff:
			b.WriteString(`\u` + hexDigits(r, 4))
		default:
			b.WriteString(`\U` + hexDigits(r, 8))
		}
	}
	b.WriteByte('"')
	return b.String()
}

func hexDigits(r rune, width int) string {
	h := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", width-len(h)) + h
}

// mustEscape says whether a character can stand in no scalar as it is, or would be read as a line break.
func mustEscape(r rune) bool {
	return r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || r == '\u0085' || r == '\ufeff' ||
		r == utf8.RuneError || unicode.Is(unicode.Zs, r) && r != ' ' || r > 0xffff
}

var (
	decimal = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)
	// numberLike matches what YAML 1.1 or 1.2 reads as a number or a time, and a little more.
	numberLike = regexp.MustCompile(`^[-+]?(\.?[0-9][0-9_:.]*([eE][-+]?[0-9_]*)?|0[xXoObB][0-9a-fA-F_]*|\.(inf|Inf|INF))$|^\.(nan|NaN|NAN)$|^[0-9]{4}-[0-9]`)
	// dotted matches addresses and versions, which are no numbers in spite of their digits.
	dotted = regexp.MustCompile(`^[0-9]+(\.[0-9]+){2,}$`)
)

// plainText says whether a string can stand without quotes and is read back as the same string by YAML 1.1 and 1.2.
func plainText(s string, flow bool) bool {
	switch {
	case s == "" || yamlWord(s) || numberLike.MatchString(s) && !dotted.MatchString(s):
		return false
	case !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }):
		return false // legal, but nobody writes `- .`
	case strings.ContainsRune("-?:,[]{}#&*!|>'\"%@`=<~", rune(s[0])):
		return false
	case strings.HasSuffix(s, ":") || strings.Contains(s, ": ") || strings.Contains(s, " #"):
		return false
	case strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") || strings.ContainsFunc(s, mustEscape):
		return false
	case isMarker([]byte(s), "...") || len(s) > 120 && strings.Contains(s, " "):
		return false
	}
	return !flow || !strings.ContainsAny(s, ",[]{}") && !strings.Contains(s, ":,")
}

// yamlWord says whether YAML 1.1 reads the string as a boolean or null.
func yamlWord(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return true
	}
	return false
}

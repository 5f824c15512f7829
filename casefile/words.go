package casefile

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// key is one word that may stand below a statement, with the check of its value.
type key struct {
	name  string
	many  bool // may be given more than once
	check func(value string) error
}

// verbNames lists the statements, in the order of the documentation.
func verbNames() []string { return []string{"eval", "compat", "inbound", "mode", "visible", "problem"} }

// needsWants says whether a statement checks nothing without indented lines.
func needsWants(verb string) bool { return verb != "visible" && verb != "problem" }

// keys gives the keys of a statement.
func keys(verb string) []key {
	switch verb {
	case "eval":
		return []key{
			{name: "status", check: oneOf(statusWords())},
			{name: "server", check: oneOf(serverWords())},
			{name: "policy", check: checkRef(mesh.KindPolicy, mesh.KindMeshPolicy, mesh.KindPeerAuthentication)},
			{name: "client", check: oneOf(clientWords())},
			{name: "rule", check: checkRef(mesh.KindDestinationRule)},
			{name: "auto", check: oneOf(enum(func(i uint8) string { return resolve.Auto(i).String() }))},
			{name: "wire", check: oneOf(wireWords())},
			{name: "outbound", check: oneOf(enum(func(i uint8) string { return resolve.Outbound(i).String() }))},
			{name: "cause", check: oneOf(causeWords())},
			{name: "tie", check: oneOf(enum(func(i uint8) string { return resolve.TieBreak(i).String() }))},
			{name: "endpoints", check: checkNumber},
			{name: "refused", check: checkNumber},
			{name: "endpoint", many: true, check: checkEndpoint},
			{name: "reason", many: true, check: checkReason},
			{name: "sni", check: notEmpty},
			{name: "san", check: notEmpty},
			{name: "alpn", check: notEmpty},
			{name: "min", check: notEmpty},
			{name: "max", check: notEmpty},
			{name: "protocol", check: checkProtocol},
		}
	case "compat":
		return []key{{name: "row", check: checkRow}}
	case "inbound":
		return []key{{name: "outcome", check: oneOf(enum(func(i uint8) string { return resolve.InboundOutcome(i).String() }))}}
	case "mode":
		return []key{
			{name: "server", check: oneOf(serverWords())},
			{name: "policy", check: checkRef(mesh.KindPolicy, mesh.KindMeshPolicy, mesh.KindPeerAuthentication)},
			{name: "min", check: notEmpty},
			{name: "trusts", check: notEmpty},
		}
	}
	return nil
}

func findKey(verb, name string) (key, bool) {
	for _, k := range keys(verb) {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// keysOf lists the names of a statement's keys.
func keysOf(verb string) []string {
	var out []string
	for _, k := range keys(verb) {
		out = append(out, k.name)
	}
	return out
}

func keyNames(verb string) string { return strings.Join(keysOf(verb), ", ") }

// enum collects the words of an enumeration that starts at 0 and gives "" beyond its end.
func enum(word func(i uint8) string) []string {
	var out []string
	for i := uint8(0); word(i) != ""; i++ {
		out = append(out, word(i))
	}
	return out
}

func statusWords() []string {
	return enum(func(i uint8) string { return resolve.Status(i).String() })
}

func serverWords() []string {
	return enum(func(i uint8) string { return resolve.Server(i).String() })[1:] // without UNSET
}

func wireWords() []string { return enum(func(i uint8) string { return resolve.Wire(i).String() }) }

func causeWords() []string { return enum(func(i uint8) string { return resolve.Cause(i).String() }) }

func clientWords() []string {
	var out []string
	for m := mesh.ClientUnset; m <= mesh.ClientIstioMutual; m++ {
		out = append(out, m.String())
	}
	return out
}

// oneOf checks that a value is one of some words.
func oneOf(known []string) func(string) error {
	return func(value string) error {
		if slices.Contains(known, value) {
			return nil
		}
		return fmt.Errorf("unknown value %q%s", value, hint(value, known))
	}
}

func notEmpty(value string) error {
	if value == "" {
		return errors.New(`want a value, or "none"`)
	}
	return nil
}

func checkNumber(value string) error {
	if _, err := strconv.ParseUint(value, 10, 31); err != nil {
		return fmt.Errorf("want a number, got %q", value)
	}
	return nil
}

// checkRef checks the String of a Ref of one of some kinds, or "none".
func checkRef(kinds ...mesh.Kind) func(string) error {
	return func(value string) error {
		if value == "none" {
			return nil
		}
		kind, name, _ := strings.Cut(value, " ")
		if !slices.Contains(kinds, mesh.Kind(kind)) || name == "" || strings.Contains(name, " ") {
			return fmt.Errorf("want none, or %s and a name as in %q, got %q", kindList(kinds), string(kinds[0])+" ns1/foo", value)
		}
		return nil
	}
}

func kindList(kinds []mesh.Kind) string {
	var out []string
	for _, k := range kinds {
		out = append(out, string(k))
	}
	return strings.Join(out, " or ")
}

// endpointKeys are what an endpoint line may compare.
func endpointKey(name string) (func(string) error, bool) {
	switch name {
	case "sends":
		return oneOf(clientWords()), true
	case "server", "policy", "wire", "cause", "tie":
		k, ok := findKey("eval", name)
		return k.check, ok
	}
	return nil, false
}

func checkEndpoint(value string) error {
	words := strings.SplitN(value, " ", 3)
	if len(words) < 3 {
		return fmt.Errorf("want WORKLOAD KEY VALUE, got %q", value)
	}
	check, ok := endpointKey(words[1])
	if !ok {
		return fmt.Errorf("unknown key %q%s", words[1], hint(words[1], []string{"server", "policy", "wire", "cause", "tie", "sends"}))
	}
	return check(words[2])
}

func checkReason(value string) error {
	_, err := parseReason(value)
	return err
}

func checkProtocol(value string) error {
	words := strings.Fields(value)
	switch len(words) {
	case 1:
		return nil
	case 2:
		return oneOf(enum(func(i uint8) string { return resolve.ProtocolClass(i).String() }))(words[1])
	}
	return fmt.Errorf("want a protocol and perhaps its class, got %q", value)
}

func checkRow(value string) error {
	words, err := split(value)
	if err != nil {
		return err
	}
	if len(words) != 5 {
		return fmt.Errorf("want the five words STATUS SERVER CLIENT POLICY RULE (quote those with blanks), got %d", len(words))
	}
	return nil
}

// checkArgs checks what stands behind a statement's word, as far as that needs no mesh.
func checkArgs(verb string, args []string) error {
	switch verb {
	case "eval", "compat":
		return checkCall(args)
	case "inbound":
		if len(args) < 2 {
			return errors.New("want WORKLOAD:PORT and one of plaintext, tls, mtls")
		}
		if _, err := parseAttempt(args[1:]); err != nil {
			return err
		}
		return checkDoor(args[0])
	case "mode":
		if len(args) != 1 {
			return errors.New("want WORKLOAD:PORT")
		}
		return checkDoor(args[0])
	case "visible":
		if len(args) != 3 || args[2] != "yes" && args[2] != "no" {
			return errors.New("want CLIENT SERVICE yes or CLIENT SERVICE no")
		}
		return nil
	}
	return checkProblem(args)
}

// checkCall checks CLIENT -> TARGET [at WORKLOAD].
func checkCall(args []string) error {
	if len(args) != 3 && len(args) != 5 || args[1] != "->" || len(args) == 5 && args[3] != "at" {
		return errors.New("want CLIENT -> HOST:PORT, perhaps with a subset as HOST|SUBSET:PORT, perhaps followed by at WORKLOAD")
	}
	host, port, err := net.SplitHostPort(args[2])
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("target %q: want HOST:PORT", args[2])
	}
	return nil
}

func checkDoor(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q: want WORKLOAD:PORT", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q: the port is not a number from 1 to 65535", s)
	}
	return nil
}

func checkProblem(args []string) error {
	if len(args) == 0 || len(args) > 2 || args[0] == "" {
		return errors.New(`want a part of its message in quotes, perhaps followed by error or warning`)
	}
	if len(args) == 2 {
		return oneOf([]string{mesh.Warning.String(), mesh.Error.String()})(args[1])
	}
	return nil
}

// parseAttempt reads plaintext|tls|mtls [http] [alpn=a,b].
func parseAttempt(words []string) (resolve.Attempt, error) {
	var a resolve.Attempt
	switch words[0] {
	case "plaintext":
	case "tls":
		a.TLS = true
	case "mtls":
		a.TLS, a.Cert = true, true
	default:
		return a, fmt.Errorf("unknown attempt %q%s", words[0], hint(words[0], []string{"plaintext", "tls", "mtls"}))
	}
	for _, w := range words[1:] {
		list, isALPN := strings.CutPrefix(w, "alpn=")
		switch {
		case w == "http":
			a.HTTP = true
		case isALPN && a.TLS:
			a.ALPN = strings.Split(list, ",")
		default:
			return a, fmt.Errorf("unknown word %q: want http, or with TLS alpn=a,b", w)
		}
	}
	return a, nil
}

// hint says which words are known, and which of them was probably meant.
func hint(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf(" (did you mean %q?)", best)
	}
	return "; want one of " + strings.Join(known, ", ")
}

// distance is the least number of letters to insert, remove or replace that makes b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := corner
			if a[i] != b[j] {
				d++
			}
			corner = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

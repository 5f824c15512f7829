package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func tokensOf(t testing.TB, dir string) *Tokens {
	t.Helper()
	tokens, err := OpenTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func tokenFor(t testing.TB, tokens *Tokens, who Identity) string {
	t.Helper()
	token, _, err := tokens.Issue(who)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := stateDir(t)
		tokens := tokensOf(t, dir)
		token, expires, err := tokens.Issue(web)
		if err != nil || time.Until(expires) > TokenTTL || time.Until(expires) < TokenTTL-time.Second {
			t.Fatalf("expires %v, %v", expires, err)
		}
		check := func(tokens *Tokens, ok bool) {
			t.Helper()
			got, err := tokens.Authenticate(t.Context(), token)
			if ok && (err != nil || got != web) || !ok && err == nil {
				t.Errorf("got %+v, %v, want accepted: %v", got, err, ok)
			}
		}
		check(tokens, true)
		check(tokensOf(t, dir), true) // a restart
		check(tokensOf(t, stateDir(t)), false)
		check(tokensOf(t, ""), false)
		time.Sleep(time.Until(expires) - time.Second)
		check(tokens, true)
		time.Sleep(time.Second)
		check(tokens, false)
	})
}

// TestTokenClaims reads a token as somebody else would.
func TestTokenClaims(t *testing.T) {
	parts := strings.Split(tokenFor(t, tokensOf(t, ""), web), ".")
	var claims map[string]any
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err := errors.Join(err, json.Unmarshal(text, &claims)); err != nil {
		t.Fatal(err)
	}
	if claims["sub"] != "system:serviceaccount:default:web" || claims["workload"] != "web-1" || fmt.Sprint(claims["aud"]) != "[istio-ca]" {
		t.Errorf("claims %v", claims)
	}
	if claims["exp"].(float64)-claims["iat"].(float64) > 3600 {
		t.Errorf("it lives from %v to %v", claims["iat"], claims["exp"])
	}
}

// sign makes a token of any content with the key of t, or any other way of signing.
func signToken(t testing.TB, key *ecdsa.PrivateKey, head, claims string) string {
	t.Helper()
	signed := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestTokensRefused(t *testing.T) {
	tokens := tokensOf(t, "")
	now := time.Now()
	head := fmt.Sprintf(`{"alg":"ES256","kid":%q}`, tokens.kid)
	claims := func(edit ...string) string {
		fields := map[string]string{
			"iss": `"oarlock"`, "sub": `"system:serviceaccount:default:web"`, "aud": `["istio-ca"]`, "workload": `"web-1"`,
			"nbf": fmt.Sprint(now.Unix()), "exp": fmt.Sprint(now.Add(time.Hour).Unix()),
		}
		for i := 0; i < len(edit); i += 2 {
			fields[edit[i]] = edit[i+1]
		}
		var out []string
		for name, value := range fields {
			if value != "" {
				out = append(out, fmt.Sprintf("%q:%s", name, value))
			}
		}
		return "{" + strings.Join(out, ",") + "}"
	}
	good := signToken(t, tokens.key, head, claims())
	if who, err := tokens.Authenticate(t.Context(), good); err != nil || who != web {
		t.Fatalf("the token that all others are made from gives %v, %v", who, err)
	}
	parts := strings.Split(good, ".")
	hs256 := func() string {
		signed := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"HS256","kid":%q}`, tokens.kid)) + "." + parts[1]
		pub, err := tokens.key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, pub)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"none","kid":%q}`, tokens.kid)) + "." + parts[1] + "."
	zero := parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64))
	tests := []struct{ name, token, want string }{
		{"empty", "", "not a JWT"},
		{"two parts", parts[0] + "." + parts[1], "not a JWT"},
		{"four parts", good + ".x", "not a JWT"},
		{"padded", good + "=", "malformed"},
		{"a line feed", good + "\n", "not a JWT"},
		{"signature cut off", good[:len(good)-4], "malformed"},
		{"long", good + strings.Repeat("x", maxToken), "at most"},
		{"unsigned", none, `by "none"`},
		{"signed with our public key as a secret", hs256(), `by "HS256"`},
		{"signature of zeros", zero, "signature is wrong"},
		{"signed by a stranger", signToken(t, stranger, head, claims()), "signature is wrong"},
		{"other claims", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(claims("sub", `"system:serviceaccount:a:b"`))) + "." + parts[2], "signature is wrong"},
		{"another key's id", signToken(t, tokens.key, `{"alg":"ES256","kid":"x"}`, claims()), "not with ours"},
		{"critical extension", signToken(t, tokens.key, fmt.Sprintf(`{"alg":"ES256","kid":%q,"crit":["x"]}`, tokens.kid), claims()), "not with ours"},
		{"header is a list", signToken(t, tokens.key, `[]`, claims()), "header"},
		{"two headers", signToken(t, tokens.key, head+head, claims()), "header"},
		{"claims are null", signToken(t, tokens.key, head, `null`), "claims"},
		{"other issuer", signToken(t, tokens.key, head, claims("iss", `"kubernetes"`)), "issued by"},
		{"other audience", signToken(t, tokens.key, head, claims("aud", `["vault"]`)), "audience"},
		{"no audience", signToken(t, tokens.key, head, claims("aud", "")), "audience"},
		{"expired", signToken(t, tokens.key, head, claims("exp", fmt.Sprint(now.Unix()-1))), "expired"},
		{"without an end", signToken(t, tokens.key, head, claims("exp", "")), "expired"},
		{"not yet valid", signToken(t, tokens.key, head, claims("nbf", fmt.Sprint(now.Unix()+3600))), "not valid before"},
		{"other subject", signToken(t, tokens.key, head, claims("sub", `"system:node:a"`)), "subject"},
		{"subject without account", signToken(t, tokens.key, head, claims("sub", `"system:serviceaccount:default"`)), "subject"},
		{"subject with an empty part", signToken(t, tokens.key, head, claims("sub", `"system:serviceaccount::web"`)), "subject"},
		{"subject with one part too many", signToken(t, tokens.key, head, claims("sub", `"system:serviceaccount:a:b:c"`)), "subject"},
		{"without a workload", signToken(t, tokens.key, head, claims("workload", "")), "workload"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			who, err := tokens.Authenticate(t.Context(), tt.token)
			if err == nil || !strings.Contains(err.Error(), tt.want) || who != (Identity{}) {
				t.Errorf("got %+v, error %v, want one with %q", who, err, tt.want)
			}
			if err != nil && len(tt.token) > 20 && strings.Contains(err.Error(), tt.token[len(tt.token)-20:]) {
				t.Error("the error quotes the token")
			}
		})
	}
	within := signToken(t, tokens.key, head, claims("nbf", fmt.Sprint(now.Unix()+30)))
	if _, err := tokens.Authenticate(t.Context(), within); err != nil {
		t.Errorf("a clock that is 30 s ahead: %v", err)
	}
}

func TestTokensForNobody(t *testing.T) {
	tokens := tokensOf(t, "")
	for _, who := range []Identity{
		{}, {Namespace: "a", ServiceAccount: "b"}, {Namespace: "a", Workload: "c"}, {Namespace: "a:b", ServiceAccount: "c", Workload: "d"},
	} {
		if token, _, err := tokens.Issue(who); err == nil || token != "" {
			t.Errorf("%+v got a token", who)
		}
	}
}

// TestLastVersionOfTokens reads the key file as the last version of the program wrote it.
func TestLastVersionOfTokens(t *testing.T) {
	golden := filepath.Join("testdata", "tokens-v1.json")
	if *update {
		dir := stateDir(t)
		tokensOf(t, dir)
		text, err := os.ReadFile(filepath.Join(dir, TokensFile))
		if err := errors.Join(err, os.MkdirAll("testdata", 0o755), os.WriteFile(golden, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	key, err := decodeTokens(text)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := newTokens(key)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := tokens.Authenticate(t.Context(), tokenFor(t, tokens, web)); err != nil || who != web {
		t.Errorf("got %v, %v", who, err)
	}
	for _, bad := range []string{"", "{}", `{"version":2}`, `{"version":1,"key":"x"}`} {
		dir := stateDir(t)
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, TokensFile), []byte(bad), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenTokens(dir); err == nil || !strings.Contains(err.Error(), TokensFile) {
			t.Errorf("%q gives %v", bad, err)
		}
	}
}

package demoapp

import (
	"fmt"
	"testing"
	"time"
)

func TestParseListen(t *testing.T) {
	for _, s := range []string{"http:8080", "udp:0", "tls:65535"} {
		if l, err := ParseListen(s); err != nil || l.String() != s {
			t.Errorf("%s: %v, %v", s, l, err)
		}
	}
	for _, s := range []string{"", "http", "http:", "ftp:21", "http:65536", "http:-1", "8080"} {
		if l, err := ParseListen(s); err == nil {
			t.Errorf("%s: %v", s, l)
		}
	}
}

// TestNames: the application calls itself what its surroundings call it, not what the machine is called.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		cfg          Config
		env          []string
		service, pod string
	}{
		{Config{}, []string{"HOSTNAME=web-v1-calm-otter", "OARLOCK_WORKLOAD=web-v1"}, "web-v1", "web-v1-calm-otter"},
		{Config{}, []string{"HOSTNAME=web-v1-7d4b9c6f8-x2z9k"}, "web-v1", "web-v1-7d4b9c6f8-x2z9k"},
		{Config{}, []string{"HOSTNAME=db-0", "POD_NAME=db-1"}, "db-1", "db-1"},
		{Config{}, []string{"HOSTNAME=a-b-c"}, "a-b-c", "a-b-c"},
		{Config{}, []string{"HOSTNAME=web-1", "OARLOCK_WORKLOAD=web", "SERVICE_NAME=shop"}, "shop", "web-1"},
		{Config{Service: "said", Pod: "so"}, []string{"HOSTNAME=web-1", "SERVICE_NAME=shop"}, "said", "so"},
	} {
		c.cfg.Env = environment(c.env...)
		got, err := c.cfg.withDefaults()
		if err != nil || got.Service != c.service || got.Pod != c.pod {
			t.Errorf("%v: service %q, pod %q, %v; want %q, %q", c.env, got.Service, got.Pod, err, c.service, c.pod)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for s, want := range map[string]string{
		"details:9080":              "http details 9080 /",
		"details.shop:9080/a/b?c=d": "http details.shop 9080 /a/b?c=d",
		"vault.shop:443":            "https vault.shop 443 /",
		"http://www.example.com":    "http www.example.com 80 /",
		"https://[::1]/x":           "https ::1 443 /x",
		"tcp://echo.shop:9000":      "tcp echo.shop 9000 /",
		"grpc://10.0.0.1:4200":      "grpc 10.0.0.1 4200 /",
		"udp://statsd:8125":         "udp statsd 8125 /",
	} {
		to, err := ParseTarget(s)
		if got := fmt.Sprint(to.Protocol, " ", to.Host, " ", to.Port, " ", to.Path); got != want || err != nil || to.String() != s {
			t.Errorf("%s: %s, %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "details", "details:x", ":80", "ftp://a", "tcp://a", "a:0", "a:99999", "http://u:p@a", "http://a b"} {
		if to, err := ParseTarget(s); err == nil {
			t.Errorf("%q: %+v", s, to)
		}
	}
}

// TestAddress: Kubernetes' variables say where a Service is, the most exact first.
func TestAddress(t *testing.T) {
	docker := func(prefix string) []string {
		return []string{prefix + "_PORT_80_TCP_ADDR=127.1.0.1", prefix + "_PORT_80_TCP_PORT=10080"}
	}
	for _, tc := range []struct {
		target string
		env    []string
		want   string
	}{
		{"cart:80", nil, "cart:80 false"},
		{"cart:80", []string{"CART_SERVICE_HOST=127.1.0.1", "CART_SERVICE_PORT=81"}, "127.1.0.1:80 true"},
		{"cart:80", append(docker("CART"), "CART_SERVICE_HOST=127.1.0.2"), "127.1.0.1:10080 true"},
		{"cart:81", append(docker("CART"), "CART_SERVICE_HOST=127.1.0.2"), "127.1.0.2:81 true"},
		{"udp://cart:80", append(docker("CART"), "CART_SERVICE_HOST=127.1.0.2"), "127.1.0.2:80 true"},
		{"my-cart:80", docker("MY_CART"), "127.1.0.1:10080 true"},
		{"cart.shop:80", docker("CART"), "cart.shop:80 false"},
		{"cart.shop:80", append(docker("CART"), "POD_NAMESPACE=shop"), "127.1.0.1:10080 true"},
		{"cart.shop:80", append(docker("CART"), "POD_NAMESPACE=bank"), "cart.shop:80 false"},
		{"cart.shop:80", docker("CART_SHOP"), "127.1.0.1:10080 true"},
		{"cart.shop.svc.cluster.local.:80", docker("CART_SHOP"), "127.1.0.1:10080 true"},
		{"cart.shop.svc:80", docker("CART_SHOP"), "127.1.0.1:10080 true"},
		{"www.example.com:80", docker("WWW_EXAMPLE_COM"), "127.1.0.1:10080 true"},
		{"www.example.com:80", docker("WWW_EXAMPLE"), "www.example.com:80 false"},
		{"10.0.0.1:80", docker("10_0_0_1"), "10.0.0.1:80 false"},
	} {
		at, service := address(targets(t, tc.target)[0], environment(tc.env...))
		if got := fmt.Sprint(at, " ", service); got != tc.want {
			t.Errorf("%s with %v: %s, want %s", tc.target, tc.env, got, tc.want)
		}
	}
}

func TestLimiter(t *testing.T) {
	l := newLimiter()
	now := time.Now()
	for i, want := range []string{"0 true", "0 false", "0 false", "2 true", "0 false"} {
		if i == 3 {
			now = now.Add(time.Second)
		}
		n, ok := l.take("a", now)
		if got := fmt.Sprint(n, " ", ok); got != want {
			t.Errorf("line %d: %s, want %s", i, got, want)
		}
	}
	if _, ok := l.take("b", now); !ok {
		t.Error("another target has to wait")
	}
}

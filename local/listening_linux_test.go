package local

import (
	"net"
	"testing"
)

// Another user's mesh has its files where we do not look, but its sockets are seen.
func TestNetsOfOthers(t *testing.T) {
	for _, at := range []string{"127.101.1.2:0", "127.166.2.2:0"} { // a pod, and a door of network 102
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	used := listeningNets()
	for _, n := range []int{101, 102} {
		if !used[n] {
			t.Errorf("network %d counts as free while somebody listens there", n)
		}
	}
	if used[firstNet-1] {
		t.Errorf("network %d counts as used", firstNet-1)
	}
}

// TestNetsAreHeld: of two meshes that come up at the same time each has a network of its own.
func TestNetsAreHeld(t *testing.T) {
	nets := map[int]bool{}
	for range 2 {
		c := &Client{}
		defer c.release()
		a, err := newAddresses("mesh", c.taker(listeningNets()))
		if err != nil || nets[a.Net] {
			t.Fatalf("%+v, %v", a, err)
		}
		nets[a.Net] = true
		if b, err := newAddresses("mesh", (&Client{}).taker(nil)); err != nil || b.Net == a.Net {
			t.Errorf("network %d is given to two: %v", a.Net, err)
		}
	}
}

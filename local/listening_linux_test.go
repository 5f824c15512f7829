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

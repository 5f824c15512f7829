package local

import (
	"fmt"
	"hash/fnv"
	"net/netip"

	"github.com/oarlock/oarlock/mesh"
)

// addresses are the numbers that pods and services of a mesh got. They are kept, so that a pod has its address still when
// it comes back.
type addresses struct {
	Version int `json:"version"`
	// Net is the second byte of the mesh's addresses in 127.0.0.0/8.
	Net int `json:"net"`
	// Pods and Services are numbers, by namespace/name and by namespace/host.
	Pods     map[string]int `json:"pods"`
	Services map[string]int `json:"services"`
	// LastPod and LastService are the numbers given last: one that became free is not taken again at once, since somebody
	// may still call it.
	LastPod     int `json:"lastPod"`
	LastService int `json:"lastService"`
}

const (
	addressesVersion = 1
	firstNet         = 64
	nets             = 63 // 64 to 126; doors are at 128 to 190
	doorNet          = 64 // what is added for doors
	firstNumber      = 2  // of pods and services; 1 is the HTTP proxy among doors
	lastNumber       = firstNumber + maxServices - 1

	proberRow, podRow, appRow, serviceRow = 0, 1, 2, 3
	// outsideNumber is the prober's that is no pod.
	outsideNumber = 1

	httpProxyPort = 15001
	healthPort    = 15021
	metricsPort   = 15090
)

// newAddresses picks the network by name, so that it is mostly the same again: the first that take gives.
func newAddresses(name string, take func(*addresses) bool) (*addresses, error) {
	h := fnv.New32a()
	h.Write([]byte(name))
	first := int(h.Sum32() % nets)
	for i := range nets {
		if a := (&addresses{Version: addressesVersion, Net: firstNet + (first+i)%nets}); take(a) {
			return a, nil
		}
	}
	return nil, fmt.Errorf("give addresses to mesh %s: all %d networks of this machine are in use", name, nets)
}

// keep forgets the pods and services that are no more.
func (a *addresses) keep(pods, services map[string]bool) {
	for k := range a.Pods {
		if !pods[k] {
			delete(a.Pods, k)
		}
	}
	for k := range a.Services {
		if !services[k] {
			delete(a.Services, k)
		}
	}
}

// podNumber gives the number of a pod, and false where there are too many.
func (a *addresses) podNumber(r mesh.Ref) (int, bool) {
	if a.Pods == nil {
		a.Pods = map[string]int{}
	}
	return give(a.Pods, r.Namespace+"/"+r.Name, &a.LastPod)
}

// serviceNumber gives the number of a service, and false where there are too many.
func (a *addresses) serviceNumber(key string) (int, bool) {
	if a.Services == nil {
		a.Services = map[string]int{}
	}
	return give(a.Services, key, &a.LastService)
}

func give(numbers map[string]int, key string, last *int) (int, bool) {
	if n, ok := numbers[key]; ok {
		return n, true
	}
	used := map[int]bool{}
	for _, n := range numbers {
		used[n] = true
	}
	for range maxServices {
		*last++
		if *last < firstNumber || *last > lastNumber {
			*last = firstNumber
		}
		if !used[*last] {
			numbers[key] = *last
			return *last, true
		}
	}
	return 0, false
}

func (a *addresses) prober(n int) netip.Addr  { return a.at(a.Net, proberRow, n) }
func (a *addresses) pod(n int) netip.Addr     { return a.at(a.Net, podRow, n) }
func (a *addresses) app(n int) netip.Addr     { return a.at(a.Net, appRow, n) }
func (a *addresses) service(n int) netip.Addr { return a.at(a.Net, serviceRow, n) }

// probers are the addresses that prober gives.
func probers(n network) netip.Prefix {
	return netip.PrefixFrom(n.prober(0), 24)
}

// door is the address at which pod p finds service s.
func (a *addresses) door(p, s int) netip.Addr { return a.at(a.Net+doorNet, p, s) }

// httpProxy is where pod p finds its HTTP proxy.
func (a *addresses) httpProxy(p int) netip.AddrPort {
	return netip.AddrPortFrom(a.at(a.Net+doorNet, p, 1), httpProxyPort)
}

func (a *addresses) at(network, row, n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(network), byte(row), byte(n)})
}

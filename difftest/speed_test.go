package difftest

import (
	"testing"
	"time"
)

func TestIstioSpeed(t *testing.T) {
	var tot [2]time.Duration
	var n, bad, ans [2]int
	for i := uint64(0); i < 150; i++ {
		docs := Generate(1, i)
		k := 0
		if needsKubernetes(docs) {
			k = 1
		}
		t0 := time.Now()
		a, err := AskIstio(docs)
		tot[k] += time.Since(t0)
		n[k]++
		ans[k] += len(a)
		if err != nil {
			bad[k]++
			t.Log(i, err)
		}
	}
	for k := range tot {
		t.Logf("kube=%d meshes %d in %v, refused %d, answers %d", k, n[k], tot[k], bad[k], ans[k])
	}
}

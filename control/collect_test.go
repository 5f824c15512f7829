package control

import "testing"

// TestCollectEarly: a heap that fills is due before it must be collected.
func TestCollectEarly(t *testing.T) {
	for n := 0; !collectEarly(); n++ {
		if n > 1<<16 {
			t.Fatal("a heap that fills is never due")
		}
		rubbish = make([]byte, 16<<10)
	}
}

var rubbish []byte

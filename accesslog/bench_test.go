package accesslog

import "testing"

// TestAppendAllocatesNothing holds the hot path: a line is written for every request.
func TestAppendAllocatesNothing(t *testing.T) {
	r := sample()
	for _, f := range formats() {
		buf := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(100, func() { buf = f.Append(buf[:0], r) }); n != 0 {
			t.Errorf("%s (JSON %t): %v allocations", f.Name(), f.JSON(), n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, f := range []*Format{IstioCurrent(), IstioCurrentJSON()} {
		name := "text"
		if f.JSON() {
			name = "json"
		}
		b.Run(name, func(b *testing.B) {
			r, buf := sample(), make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				buf = f.Append(buf[:0], r)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, f := range []*Format{IstioCurrent(), Envoy(), IstioCurrentJSON()} {
		name := f.Name()
		if f.JSON() {
			name += "-json"
		}
		b.Run(name, func(b *testing.B) {
			reader, line := NewReader(), string(f.Append(nil, sample()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := reader.Read(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package meshtest

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestPipeDeadline: a read that waits ends at its deadline, and a later deadline makes reading possible again.
func TestPipeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := Pipe()
		defer here.Close()
		begin, b := time.Now(), make([]byte, 8)
		for _, after := range []time.Duration{time.Second, time.Minute} {
			if err := here.SetReadDeadline(begin.Add(after)); err != nil {
				t.Fatal(err)
			}
			if _, err := here.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != after {
				t.Errorf("deadline after %v: %v after %v", after, err, time.Since(begin))
			}
		}
		if err := here.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Hour, func() { _, _ = there.Write([]byte("late")) })
		if n, err := here.Read(b); string(b[:n]) != "late" || err != nil {
			t.Errorf("read %q, %v", b[:n], err)
		}
	})
}

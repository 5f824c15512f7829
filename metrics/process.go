package metrics

import (
	"os"
	"runtime"
	rm "runtime/metrics"
	"strconv"
	"strings"
	"sync"
)

// process adds what there is to say of the process and of Go's runtime.
func (c *collection) process(l *lasting) {
	c.add("go_goroutines", gauge, uint64(runtime.NumGoroutine()))
	samples := []rm.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	rm.Read(samples)
	for i, name := range []string{"go_memstats_heap_alloc_bytes", "go_memstats_sys_bytes", "go_gc_cycles_total"} {
		if v := samples[i].Value; v.Kind() == rm.KindUint64 {
			k := gauge
			if i == 2 {
				k = counter
			}
			c.add(name, k, v.Uint64())
		}
	}
	if runtime.GOOS == "linux" {
		c.proc(l)
	}
}

// ticks is the unit of /proc/PID/stat, the same on all machines that Go runs on.
const ticks = 100

// lasting is what Linux says of the process once and for all; a scrape a second should not ask again. Zero is unknown.
type lasting struct {
	once  sync.Once
	start float64 // when the process began, in Unix time
	fds   uint64  // how many it may open
}

// proc adds what Linux says of the process; what cannot be read is left out.
func (c *collection) proc(l *lasting) {
	if n, ok := openFiles(); ok {
		c.add("process_open_fds", gauge, n)
	}
	if l.fds > 0 {
		c.add("process_max_fds", gauge, l.fds)
	}
	if f := processStat(); f != nil {
		c.addFloat("process_cpu_seconds_total", counter, (f(14)+f(15))/ticks)
		c.addFloat("process_resident_memory_bytes", gauge, f(24)*float64(os.Getpagesize()))
	}
}

// started adds when the process began.
func (c *collection) started(l *lasting) {
	if runtime.GOOS != "linux" {
		return
	}
	l.once.Do(l.read)
	if l.start > 0 {
		c.addFloat("process_start_time_seconds", gauge, l.start)
	}
}

// openFiles counts open file descriptors. Newer kernels say it as the size of the folder; the others have it listed.
func openFiles() (uint64, bool) {
	if info, err := os.Stat("/proc/self/fd"); err == nil && info.Size() > 0 {
		return uint64(info.Size()), true
	}
	entries, err := os.ReadDir("/proc/self/fd")
	return uint64(len(entries)), err == nil
}

// processStat gives the fields of /proc/self/stat by their numbers in proc(5), from 3 on; nil where it cannot be read.
func processStat() func(i int) float64 {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return nil
	}
	// The fields after the name, which may have blanks; the first of them is the third of all.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 22 {
		return nil
	}
	return func(i int) float64 { n, _ := strconv.ParseFloat(fields[i-3], 64); return n }
}

func (l *lasting) read() {
	if f := processStat(); f != nil {
		if boot, ok := bootTime(); ok {
			l.start = boot + f(22)/ticks
		}
	}
	if limits, err := os.ReadFile("/proc/self/limits"); err == nil {
		_, rest, _ := strings.Cut(string(limits), "Max open files")
		if f := strings.Fields(rest); len(f) > 0 {
			l.fds, _ = strconv.ParseUint(f[0], 10, 64) // 0 for unlimited
		}
	}
}

func bootTime() (float64, bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(b), "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(line, 64)
	return n, err == nil
}

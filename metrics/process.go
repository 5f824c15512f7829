package metrics

import (
	"os"
	"runtime"
	rm "runtime/metrics"
	"strconv"
	"strings"
)

// process adds what there is to say of the process and of Go's runtime.
func (c *collection) process() {
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
		c.proc()
	}
}

// ticks is the unit of /proc/PID/stat, the same on all machines that Go runs on.
const ticks = 100

// proc adds what Linux says of the process; what cannot be read is left out.
func (c *collection) proc() {
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		c.add("process_open_fds", gauge, uint64(len(entries)))
	}
	if limits, err := os.ReadFile("/proc/self/limits"); err == nil {
		_, rest, _ := strings.Cut(string(limits), "Max open files")
		if f := strings.Fields(rest); len(f) > 0 {
			if n, err := strconv.ParseUint(f[0], 10, 64); err == nil {
				c.add("process_max_fds", gauge, n)
			}
		}
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return
	}
	// The fields after the name, which may have blanks; the first of them is the third of all.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 22 {
		return
	}
	number := func(i int) float64 { n, _ := strconv.ParseFloat(fields[i-3], 64); return n }
	c.addFloat("process_cpu_seconds_total", counter, (number(14)+number(15))/ticks)
	c.addFloat("process_resident_memory_bytes", gauge, number(24)*float64(os.Getpagesize()))
	if boot, ok := bootTime(); ok {
		c.addFloat("process_start_time_seconds", gauge, boot+number(22)/ticks)
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

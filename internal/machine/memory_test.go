package machine_test

import (
	"testing"
	"testing/fstest"

	"github.com/metaxy-delta/metaxy-delta/internal/machine"
)

func TestMemory(t *testing.T) {
	const total = "MemTotal:       24000000 kB\nMemFree:         1 kB\n"
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, c := range []struct {
		what  string
		files fstest.MapFS
		want  int64
	}{
		{"nothing is known", fstest.MapFS{}, 0},
		{"the machine", fstest.MapFS{"proc/meminfo": file(total)}, 24000000 << 10},
		{"no limit", fstest.MapFS{"proc/meminfo": file(total), "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("max\n")}, 24000000 << 10},
		{"a group", fstest.MapFS{"proc/meminfo": file(total), "proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("1000000\n")}, 1000000},
		{"the group around it", fstest.MapFS{"proc/meminfo": file(total), "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/memory.max": file("500000\n"), "sys/fs/cgroup/a/b/memory.max": file("1000000\n")}, 500000},
		{"a container", fstest.MapFS{"proc/meminfo": file(total), "proc/self/cgroup": file("0::/of/the/host\n"), "sys/fs/cgroup/memory.max": file("2000000\n")}, 2000000},
		{"the first version", fstest.MapFS{"proc/meminfo": file(total), "proc/self/cgroup": file("7:cpu:/x\n5:hugetlb,memory:/x\n"),
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("3000000\n")}, 3000000},
		{"a limit above the machine", fstest.MapFS{"proc/meminfo": file(total), "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("9223372036854771712\n")}, 24000000 << 10},
		{"garbage", fstest.MapFS{"proc/meminfo": file("MemTotal: many kB\n"), "proc/self/cgroup": file("0:\n::\n"), "sys/fs/cgroup/memory.max": file("")}, 0},
	} {
		if got := machine.MemoryIn(c.files); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

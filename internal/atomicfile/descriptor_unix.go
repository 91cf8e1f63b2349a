//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
)

// descriptors are directories whose names are the open files of this process.
var descriptors = regexp.MustCompile(`^(/dev/fd|/proc/(\d+)(/task/\d+)?/fd)$`)

// descriptor returns a copy of the open file that path names, nil where it
// names none: `/dev/stdout`, `/dev/fd/3`, and links to them. What is written to
// such a file goes on where the descriptor stands, as after a redirection.
func descriptor(path string) *os.File {
	for range maxLinks {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return nil
		}
		if n, err := strconv.Atoi(filepath.Base(path)); err == nil && mine(dir) {
			fd, err := syscall.Dup(n)
			if err != nil {
				return nil // such as a closed one: opening it says so
			}
			syscall.CloseOnExec(fd)
			return os.NewFile(uintptr(fd), path)
		}
		st, err := os.Lstat(path)
		if err != nil || st.Mode().Type() != fs.ModeSymlink {
			return nil
		}
		target, err := os.Readlink(path)
		if err != nil {
			return nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return nil
}

// mine reports whether a directory lists the open files of this process.
func mine(dir string) bool {
	m := descriptors.FindStringSubmatch(filepath.Clean(dir))
	return m != nil && (m[2] == "" || m[2] == strconv.Itoa(os.Getpid()))
}

// keepOwner gives a file the owner of the one that it replaces, where that is
// allowed.
func keepOwner(f *os.File, old fs.FileInfo) {
	have, err := f.Stat()
	if err != nil {
		return
	}
	was, ok := old.Sys().(*syscall.Stat_t)
	now, ok2 := have.Sys().(*syscall.Stat_t)
	if ok && ok2 && (was.Uid != now.Uid || was.Gid != now.Gid) {
		_ = f.Chown(int(was.Uid), int(was.Gid)) // only root may give files away
	}
}

package objstore

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// diskCache keeps ranges as files of a directory, named by the hash of what they are. A file is the magic, that hash, the hash of the data and the data; it
// appears whole under its name, and one that is damaged all the same is a miss. A cache that cannot be written serves what it has: its failures are no one's.
type diskCache struct {
	root  *os.Root
	limit int64

	mu   sync.Mutex
	used int64 // negative = not counted yet
}

const (
	cacheMagic  = "mdcache1"
	cacheHeader = len(cacheMagic) + 2*sha256.Size
)

// openDiskCache makes the directory, or takes the one that is there.
func openDiskCache(dir string, limit int64) (*diskCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	st, err := root.Stat(".")
	if err == nil && st.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("others than its owner may enter %s (%v): give it the mode 0700, or choose another directory", dir, st.Mode().Perm())
	}
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("cache: %w", err)
	}
	return &diskCache{root: root, limit: limit, used: -1}, nil
}

func (c *diskCache) close() error { return c.root.Close() }

func (id rangeID) hash() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %d", id.origin, id.key, id.tag, id.offset, id.length))
}

// get returns a range, and removes a file that does not hold what its name says.
func (c *diskCache) get(id rangeID) ([]byte, bool) {
	hash := id.hash()
	name := hex.EncodeToString(hash[:])
	f, err := c.root.Open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	all, err := io.ReadAll(io.LimitReader(f, c.limit))
	if err != nil {
		return nil, false
	}
	if len(all) >= cacheHeader {
		data := all[cacheHeader:]
		sum := sha256.Sum256(data)
		if bytes.Equal(all[:cacheHeader], slices.Concat([]byte(cacheMagic), hash[:], sum[:])) {
			return data, true
		}
	}
	_ = c.root.Remove(name) // damaged: it is read anew
	return nil, false
}

func (c *diskCache) put(id rangeID, data []byte) {
	hash, sum := id.hash(), sha256.Sum256(data)
	temp := tempPrefix + strings.ToLower(rand.Text())
	f, err := c.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	for _, part := range [][]byte{[]byte(cacheMagic), hash[:], sum[:], data} {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = c.root.Rename(temp, hex.EncodeToString(hash[:]))
	}
	if err != nil {
		_ = c.root.Remove(temp)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used >= 0 {
		c.used += int64(cacheHeader + len(data))
	}
	if c.used < 0 || c.used > c.limit {
		c.shrink()
	}
}

// shrink counts what all processes have put there and removes the oldest files until a tenth of the limit is free.
func (c *diskCache) shrink() {
	dir, err := c.root.Open(".")
	if err != nil {
		return
	}
	defer dir.Close()
	entries, err := dir.Readdir(-1)
	if err != nil {
		return
	}
	c.used = 0
	entries = slices.DeleteFunc(entries, func(st fs.FileInfo) bool { return !st.Mode().IsRegular() || !isCacheName(st.Name()) })
	for _, st := range entries {
		c.used += st.Size()
	}
	if c.used <= c.limit {
		return
	}
	slices.SortFunc(entries, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	for _, st := range entries {
		if c.used <= c.limit-c.limit/10 {
			return
		}
		if err := c.root.Remove(st.Name()); err == nil || os.IsNotExist(err) {
			c.used -= st.Size()
		}
	}
}

// isCacheName tells the files of a cache from others, which it leaves alone.
func isCacheName(name string) bool {
	raw, err := hex.DecodeString(name)
	return err == nil && len(raw) == sha256.Size || strings.HasPrefix(name, tempPrefix)
}

package objstore

import (
	"bytes"
	"container/list"
	"fmt"
	"sync"
)

// Cache keeps ranges of objects that storage told apart by tags (Object.Tag), so that what it gives is what a read would give. What has no tag,
// such as what is read by name only, is never kept. It is safe for concurrent use, and its directory for processes that share it.
type Cache struct {
	disk *diskCache // nil without a directory

	mu    sync.Mutex
	limit int64
	used  int64
	items map[rangeID]*list.Element // of *cachedRange
	order *list.List                // most recently used first
}

// CacheOptions of NewCache; nil or zero fields = defaults.
type CacheOptions struct {
	// MemoryLimit in bytes; 0 = 64 MiB.
	MemoryLimit int64
	// Dir keeps what is read for later processes; "" = memory only. It is made when missing, for its owner only.
	Dir string
	// DirLimit in bytes, about; 0 = 1 GiB. Past it the oldest files go.
	DirLimit int64
}

// rangeID is a range of one version of an object.
type rangeID struct {
	origin, key, tag string
	offset, length   int64
}

type cachedRange struct {
	id   rangeID
	data []byte
}

// entryShare is the part of the limit that one range may take.
const entryShare = 8

// NewCache makes an empty cache, or takes over the one in a directory. A directory that others than its owner may enter is an error.
func NewCache(opts *CacheOptions) (*Cache, error) {
	o := CacheOptions{}
	if opts != nil {
		o = *opts
	}
	if o.MemoryLimit < 0 || o.DirLimit < 0 {
		return nil, fmt.Errorf("cache: a limit is negative (%d bytes of memory, %d of the directory)", o.MemoryLimit, o.DirLimit)
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = 64 << 20
	}
	if o.DirLimit == 0 {
		o.DirLimit = 1 << 30
	}
	c := &Cache{limit: o.MemoryLimit, items: map[rangeID]*list.Element{}, order: list.New()}
	if o.Dir == "" {
		return c, nil
	}
	var err error
	c.disk, err = openDiskCache(o.Dir, o.DirLimit)
	return c, err
}

// Close releases the directory. The cache then keeps to its memory.
func (c *Cache) Close() error {
	if c.disk == nil {
		return nil
	}
	return c.disk.close()
}

// get returns a copy of a range.
func (c *Cache) get(id rangeID) ([]byte, bool) {
	c.mu.Lock()
	e, ok := c.items[id]
	if ok {
		c.order.MoveToFront(e)
		data := e.Value.(*cachedRange).data
		c.mu.Unlock()
		return bytes.Clone(data), true
	}
	c.mu.Unlock()
	if c.disk == nil {
		return nil, false
	}
	data, ok := c.disk.get(id)
	if ok {
		c.keep(id, data)
	}
	return bytes.Clone(data), ok
}

// put keeps a copy of a range.
func (c *Cache) put(id rangeID, data []byte) {
	if c.disk != nil && int64(len(data)) <= c.disk.limit/entryShare {
		c.disk.put(id, data)
	}
	if int64(len(data)) <= c.limit/entryShare {
		c.keep(id, bytes.Clone(data))
	}
}

// itemBytes is what an entry takes besides its data and key, about.
const itemBytes = 300

func (c *cachedRange) bytes() int64 {
	return int64(len(c.data)+len(c.id.origin)+len(c.id.key)+len(c.id.tag)) + itemBytes
}

// keep takes over data.
func (c *Cache) keep(id rangeID, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[id]; ok {
		c.order.MoveToFront(e)
		return
	}
	r := &cachedRange{id, data}
	if r.bytes() > c.limit {
		return
	}
	c.items[id] = c.order.PushFront(r)
	c.used += r.bytes()
	for c.used > c.limit {
		last := c.order.Remove(c.order.Back()).(*cachedRange)
		delete(c.items, last.id)
		c.used -= last.bytes()
	}
}

package resolve

import (
	"context"
	"fmt"
	"sync"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// joined is the expected rows: for each dep the position of its row, -1 where there is none. keys are the join keys; null ones match nothing.
type joined struct {
	rows  int
	pos   [][]int32 // by dep index; nil for a dep without a table
	keys  []hashjoin.Key
	nulls []bool
}

// join combines the live rows of the deps: required ones by inner joins, then optional ones by left joins; when all are optional, by full joins.
func (inc *Increment) join(ctx context.Context) (*joined, error) {
	j := &joined{pos: make([][]int32, len(inc.deps))}
	if len(inc.order) == 0 {
		return j, nil
	}
	allOptional := inc.deps[inc.order[0]].plan.Optional
	errs := make([]error, len(inc.order))
	var wg sync.WaitGroup
	for n, i := range inc.order {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[n] = inc.deps[i].load(ctx, inc)
		}()
	}
	wg.Wait()
	for n, i := range inc.order {
		d := inc.deps[i]
		if errs[n] != nil {
			return nil, errs[n]
		}
		keys, nulls, err := d.joinKeys(inc)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			j.start(i, d.live, keys, nulls)
			continue
		}
		if err := inc.extend(j, i, keys, nulls, allOptional); err != nil {
			return nil, err
		}
	}
	inc.expected(j.rows)
	return j, nil
}

func (inc *Increment) expected(rows int) {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	inc.stats.Expected = int64(rows)
}

func (j *joined) start(dep int, live []bool, keys []hashjoin.Key, nulls []bool) {
	n := 0
	for _, l := range live {
		if l {
			n++
		}
	}
	pos := make([]int32, 0, n)
	j.keys, j.nulls = make([]hashjoin.Key, 0, n), make([]bool, 0, n)
	for i, l := range live {
		if l {
			pos = append(pos, int32(i))
			j.keys, j.nulls = append(j.keys, keys[i]), append(j.nulls, nulls[i])
		}
	}
	j.pos[dep], j.rows = pos, n
}

// extend joins one more dep.
func (inc *Increment) extend(j *joined, dep int, keys []hashjoin.Key, nulls []bool, full bool) error {
	d := inc.deps[dep]
	m := hashjoin.NewMulti(len(keys), 0)
	for i, l := range d.live {
		if l && !nulls[i] {
			if err := m.Add(keys[i], int32(i)); err != nil {
				return err
			}
		}
	}
	from := []int32{} // row of j for each new row, -1 for one that only the right side has
	right := []int32{}
	matched := make([]bool, m.Len())
	for i := range j.rows {
		id := -1
		if !j.nulls[i] {
			id = m.Find(j.keys[i])
		}
		if id < 0 {
			if d.plan.Optional {
				from, right = append(from, int32(i)), append(right, -1)
			}
			continue
		}
		matched[id] = true
		m.Rows(id, func(row int32) { from, right = append(from, int32(i)), append(right, row) })
	}
	if full {
		for i, l := range d.live {
			if l && (nulls[i] || !matched[m.Find(keys[i])]) {
				from, right = append(from, -1), append(right, int32(i))
			}
		}
	}
	if len(from) > 1<<31-1 {
		return fmt.Errorf("the join has %d rows; at most 2^31 are possible", len(from))
	}
	j.regroup(from, right, dep, keys, nulls)
	return nil
}

func (j *joined) regroup(from, right []int32, dep int, keys []hashjoin.Key, nulls []bool) {
	newKeys, newNulls := make([]hashjoin.Key, len(from)), make([]bool, len(from))
	for i, f := range from {
		if f >= 0 {
			newKeys[i], newNulls[i] = j.keys[f], j.nulls[f]
		} else {
			newKeys[i], newNulls[i] = keys[right[i]], nulls[right[i]]
		}
	}
	for d, pos := range j.pos {
		if pos == nil {
			continue
		}
		next := make([]int32, len(from))
		for i, f := range from {
			next[i] = -1
			if f >= 0 {
				next[i] = pos[f]
			}
		}
		j.pos[d] = next
	}
	j.pos[dep], j.keys, j.nulls, j.rows = right, newKeys, newNulls, len(from)
}

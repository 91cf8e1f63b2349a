package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// sortedTagName is the tag of files that a sort wrote: which sort, a space, and the columns. Keys do not overlap between files of one sort.
const sortedTagName = "metaxy_delta.sorted"

// order names the columns of a sort.
func (c *compaction) order() string { return listText(c.opts.SortBy) }

// sortedTag marks the files of a new sort.
func (c *compaction) sortedTag() map[string]*string {
	text := uuid.NewString() + " " + c.order()
	return map[string]*string{sortedTagName: &text}
}

// sortOf is which sort by these columns wrote a file, "" for none.
func sortOf(f *delta.File, order string) string {
	if text := f.Tags[sortedTagName]; text != nil {
		if which, columns, ok := strings.Cut(*text, " "); ok && columns == order {
			return which
		}
	}
	return ""
}

// pack puts the files worth merging into bins of one partition, in file order, each filled up to the target. neighbours ends a bin at a file of the partition
// that stays, as those of a sort do.
func pack(files []delta.File, target int64, neighbours bool, sort string) []*job {
	open, size := map[string]*job{}, map[string]int64{}
	var bins []*job
	for i := range files {
		f := &files[i]
		key := partitionKey(f)
		if !worn(f) && (f.Size >= target/4*3 || sort != "" && sortOf(f, sort) != "") {
			if neighbours {
				delete(open, key)
			}
			continue
		}
		bin := open[key]
		if bin == nil || size[key]+f.Size > target {
			bin = &job{}
			open[key], size[key] = bin, 0
			bins = append(bins, bin)
		}
		bin.files = append(bin.files, *f)
		size[key] += f.Size
	}
	return slices.DeleteFunc(bins, func(b *job) bool { return len(b.files) == 1 && !worn(&b.files[0]) })
}

// almostSorted reports whether less than a tenth of the bytes beside sorted files is not sorted.
func (j *job) almostSorted(order string) bool {
	sorted, rest := int64(0), int64(0)
	for i := range j.files {
		if f := &j.files[i]; sortOf(f, order) != "" && !worn(f) {
			sorted += f.Size
		} else {
			rest += f.Size
		}
	}
	return rest*10 < sorted
}

// worn reports whether a twentieth of the rows of a file or more is deleted.
func worn(f *delta.File) bool {
	return f.DeletionVector != nil && (f.Records() < 0 || f.DeletionVector.Cardinality*20 >= f.Records())
}

// cluster is files whose keys may overlap with each other and with no other cluster's.
type cluster struct {
	files []int // their places in tie order
	size  int64
	hi    any
	sort  string // that wrote its only file; "" when it must be sorted
}

// sortJobs chooses what a sort must touch: files that share keys, or that are not sorted by the columns, and small ones beside them in the order of the keys.
// What it leaves alone shares no key with what it touches.
func sortJobs(files []delta.File, column, order string, target int64) []*job {
	var names []string
	parts := map[string][]int{}
	for i := range files {
		key := partitionKey(&files[i])
		if parts[key] == nil {
			names = append(names, key)
		}
		parts[key] = append(parts[key], i)
	}
	var out []*job
	for _, name := range names {
		clusters := clustersOf(files, parts[name], column, order)
		var group, before *cluster
		flush := func() {
			if group != nil && group.sort == "" {
				j := &job{}
				slices.Sort(group.files)
				for _, i := range group.files {
					j.files = append(j.files, files[i])
				}
				out = append(out, j)
			}
			group = nil
		}
		for _, c := range clusters {
			if c.sort != "" && c.size >= target/4*3 || group != nil && c.sort != "" && before.sort == c.sort {
				flush() // it is in order, and large or beside its own kind
			}
			switch {
			case c.sort != "" && c.size >= target/4*3:
			case group == nil:
				g := *c
				g.files = slices.Clone(c.files)
				group = &g
			default:
				group.files, group.size, group.sort = append(group.files, c.files...), group.size+c.size, ""
			}
			before = c
		}
		flush()
	}
	return out
}

// span is the keys of a file.
type span struct {
	at     int // place of the file in tie order
	lo, hi any // nil: unknown
	sort   string
}

// clustersOf parts files of a partition by their keys, ascending.
func clustersOf(files []delta.File, which []int, column, order string) []*cluster {
	spans := make([]span, len(which))
	unknown, one := false, true
	for n, i := range which {
		s := span{at: i, sort: sortOf(&files[i], order)}
		if worn(&files[i]) {
			s.sort = ""
		}
		if r := files[i].Range([]string{column}); r.Known && r.Nulls == 0 && !r.MayNaN && r.Min != nil && r.Max != nil {
			s.lo, s.hi = r.Min, r.Max
		}
		spans[n] = s
		unknown, one = unknown || s.lo == nil, one && s.sort != "" && s.sort == spans[0].sort
	}
	if unknown && !one { // keys that may be anything overlap with all others
		all := &cluster{files: which}
		for _, i := range which {
			all.size += files[i].Size
		}
		return []*cluster{all}
	}
	slices.SortStableFunc(spans, func(a, b span) int {
		c, _ := filter.CompareValues(a.lo, b.lo)
		return c
	})
	var out []*cluster
	for _, s := range spans {
		c := &cluster{files: []int{s.at}, size: files[s.at].Size, hi: s.hi, sort: s.sort}
		// Clusters from n on are joined with the file: all begin at or below it, and those that end at or above it lie last. Files of one sort only seem to
		// overlap, where statistics cut their keys short.
		n := len(out)
		for i := n - 1; i >= 0 && !less(out[i].hi, s.lo); i-- {
			if out[i].sort == "" || out[i].sort != s.sort {
				n = i
			}
		}
		for _, o := range out[n:] {
			c.files, c.size, c.sort = append(c.files, o.files...), c.size+o.size, ""
			if less(c.hi, o.hi) {
				c.hi = o.hi
			}
		}
		out = append(out[:n], c)
	}
	return out
}

func less(a, b any) bool {
	c, ok := filter.CompareValues(a, b)
	return ok && c < 0
}

// partitionKey is the same text for files of one partition and no others.
func partitionKey(f *delta.File) string {
	names := make([]string, 0, len(f.PartitionValues))
	for k := range f.PartitionValues {
		names = append(names, k)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, k := range names {
		v := f.PartitionValues[k]
		if v == nil || *v == "" {
			fmt.Fprintf(&b, "%q;", k) // an empty text is null too
			continue
		}
		fmt.Fprintf(&b, "%q=%q;", k, *v)
	}
	return b.String()
}

// columnsOf names the columns of a predicate.
func columnsOf(e filter.Expr) string {
	var names []string
	for _, path := range filter.Columns(e) {
		names = append(names, strings.Join(path, "."))
	}
	return strings.Join(names, ", ")
}

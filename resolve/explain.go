package resolve

import (
	"context"
	"fmt"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// Explain returns how the work is done, one line for each table and one for the
// keys: what is read in blocks, what is held, how rows find each other, about
// how much memory that takes, and whether it is cut. It reads the units of
// tables and nothing else.
func (inc *Increment) Explain(ctx context.Context) (string, error) {
	s, err := inc.planStream(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, l := range s.legs {
		if l.dep < 0 {
			b.WriteString("stream the samples\n")
			continue
		}
		rows, _ := l.feed.rows()
		fmt.Fprintf(&b, "stream %s: %d rows in %d units, %s\n", l.feed.name, rows, len(l.feed.units), s.surveyOf(l))
	}
	for dep, side := range s.sides {
		if side == nil {
			continue
		}
		rows, _ := side.feed.rows()
		how := "one row a key"
		if side.several != nil {
			how = "several rows a key"
		}
		if inc.aggregates(dep) {
			how += ", versions by group"
		}
		fmt.Fprintf(&b, "hold %s: %d rows, %d versions each, %s\n", side.feed.name, rows, len(side.members), how)
	}
	if s.stored != nil {
		rows, _ := s.stored.feed.rows()
		fmt.Fprintf(&b, "compare with %s: %d stored rows\n", s.stored.feed.name, rows)
	}
	if s.layout == nil {
		return b.String(), nil
	}
	h := hintsOf(s.held, s.layout, &inc.req.Options)
	fmt.Fprintf(&b, "keys of %s: %s, %d slots\n", strings.Join(inc.joinColumns(), ", "), h.Choose(s.layout), h.Slots(s.layout))
	bytes := s.bytes()
	o := &inc.req.Options
	parts, ranges := o.partitionsFor(bytes), s.rangedSources() != nil
	if parts > 1 && !ranges && o.SpillDir == "" {
		return "", o.beyond(bytes)
	}
	fmt.Fprintf(&b, "memory: about %d MiB held, of a limit of %d MiB", bytes>>20, o.MemoryLimit>>20)
	switch {
	case parts > 1 && ranges:
		fmt.Fprintf(&b, ": cut into %d ranges of keys, or partitions on disk where keys lie mixed", parts)
	case parts > 1:
		fmt.Fprintf(&b, ": cut into %d partitions on disk", parts)
	}
	return b.String() + "\n", nil
}

// surveyOf says how the live rows of a driver are found.
func (s *stream) surveyOf(l *leg) string {
	switch {
	case l.unique && s.layout.Words() == 1 && !s.inc.req.Options.Doubt && l.feed.claimsDisjoint():
		return "ids said to ascend in ranges of their own"
	case l.feed.claimsLayers():
		return "units said to have one time each"
	}
	return "newest row of each id by its time"
}

// claimsLayers reports whether statistics promise that every unit has one stamp.
func (f *feed) claimsLayers() bool {
	for _, name := range []string{syscol.UpdatedAt, syscol.CreatedAt} {
		if f.table.Schema().HasField(name) {
			return f.claimedStamps([]string{name}) != nil
		}
	}
	return true
}

package why

import (
	"slices"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// compare tells what became of the upstream rows of a sample since a time at
// which they gave what is stored.
func (s *search) compare(k int, then int64) {
	out := &s.samples[k]
	for d, x := range s.deps {
		if x == nil {
			continue
		}
		for _, id := range x.ids[k] {
			old, cur := x.at(id, then), x.at(id, now)
			for f := range s.Plan.Fields {
				for _, p := range s.Plan.Fields[f].Parents {
					if p.Dep != d {
						continue
					}
					if c, ok := x.changed(k, id, p.Field, old, cur, then); ok {
						c.Field, c.Parent, c.ParentField = s.Plan.Fields[f].Key.String(), p.Feature.String(), p.Field.String()
						out.Causes = append(out.Causes, c)
					}
				}
			}
		}
	}
	if len(out.Causes) == 0 {
		out.Unknown = "the upstream rows give other versions than when it was stored, although none of their versions changed"
	}
}

// changed is what became of a version of one upstream row.
func (x *index) changed(k int, id string, field feature.FieldKey, old, cur *row, then int64) (Cause, bool) {
	c := Cause{Change: ChangeChanged, Commit: -1}
	if old.shows(k) {
		c.Old, c.Member = x.version(old, field), x.member(old)
	}
	if cur.shows(k) {
		c.New, c.Member = x.version(cur, field), x.member(cur)
	}
	switch was, is := old.shows(k), cur.shows(k); {
	case !was && !is, was && is && same(c.Old, c.New):
		return c, false
	case !was:
		c.Change = ChangeCame
	case !is:
		c.Change = ChangeWent
	}
	for _, at := range x.byID[id] {
		r := &x.rows[at]
		if r.stamp > then && (r.shows(k) != old.shows(k) || r.shows(k) && !same(x.version(r, field), c.Old)) {
			c.Since, c.Commit = stamp(r.stamp), x.Commits[r.batch]
			break
		}
	}
	return c, true
}

func same(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// explainNew tells why a sample is not stored under the current version, or
// since when it is upstream.
func (s *search) explainNew(k int) {
	out := &s.samples[k]
	if s.own != nil && s.explainOwn(k) {
		return
	}
	for d, x := range s.deps {
		if x == nil {
			continue
		}
		for _, id := range x.ids[k] {
			cur := x.at(id, now)
			if !cur.shows(k) {
				continue
			}
			first := cur
			list := x.byID[id]
			for i := len(list) - 1; i >= 0 && x.rows[list[i]].shows(k); i-- {
				first = &x.rows[list[i]]
			}
			out.Causes = append(out.Causes, Cause{Change: ChangeCame, Parent: s.Plan.Deps[d].Feature.String(), Member: x.member(cur), Since: stamp(first.stamp), Commit: x.Commits[first.batch]})
		}
	}
	if len(out.Causes) == 0 {
		out.Unknown = "no upstream row says since when it is there"
	}
}

// explainOwn tells what the feature's own rows say of a sample that is new: it
// was deleted, is hidden, or was stored under another version.
func (s *search) explainOwn(k int) bool {
	out := &s.samples[k]
	key := s.Plan.Feature.Spec.Key.String()
	var last *row
	for _, id := range s.own.ids[k] {
		if r := s.newest(id); r != nil {
			c := Cause{Change: ChangeHidden, Parent: key, Member: s.own.member(r), Since: stamp(r.stamp), Commit: s.own.Commits[r.batch], Note: "a filter hides the stored row"}
			if r.dead {
				c.Change, c.Note = ChangeDeleted, "it was deleted here"
			}
			out.Causes = append(out.Causes, c)
			continue
		}
		list := s.own.byID[id]
		if r := &s.own.rows[list[len(list)-1]]; last == nil || r.stamp > last.stamp {
			last = r
		}
	}
	if len(out.Causes) > 0 || last == nil {
		return len(out.Causes) > 0
	}
	out.Causes = []Cause{{Change: ChangeDefined, Old: &last.version, New: &s.Plan.FeatureVersion, Since: stamp(last.stamp), Commit: s.own.Commits[last.batch], Note: "the version of the feature changed"}}
	if s.Defined != nil {
		if more := s.Defined(last.version); len(more) > 0 {
			out.Causes = slices.Clone(more)
		}
	}
	return true
}

// explainOrphaned tells which upstream feature lost a sample.
func (s *search) explainOrphaned(k int) {
	out := &s.samples[k]
	optional := !slices.ContainsFunc(s.Plan.Deps, func(d feature.PlanDep) bool { return !d.Optional })
	for d, x := range s.deps {
		dep := &s.Plan.Deps[d]
		if dep.Optional && !optional {
			continue
		}
		if x == nil {
			out.Causes = append(out.Causes, Cause{Change: ChangeWent, Parent: dep.Feature.String(), Commit: -1, Note: "it has no table"})
			continue
		}
		if c, lost := x.lost(k); lost {
			c.Parent = dep.Feature.String()
			out.Causes = append(out.Causes, c)
		}
	}
	if len(out.Causes) == 0 {
		out.Unknown = "each upstream feature has rows of it, but they do not meet"
	}
}

// lost tells how the last row of a sample went; false when one is there.
func (x *index) lost(k int) (Cause, bool) {
	c := Cause{Change: ChangeWent, Commit: -1, Note: "the table has no row of it any more, and does not tell since when"}
	var last *row
	for _, id := range x.ids[k] {
		cur := x.at(id, now)
		if cur.shows(k) {
			return c, false
		}
		if last == nil || cur.stamp > last.stamp {
			last = cur
		}
	}
	if last == nil {
		return c, true
	}
	c.Since, c.Commit = stamp(last.stamp), x.Commits[last.batch]
	switch {
	case last.dead:
		c.Note = "it was deleted there"
	case last.key != k:
		c.Note = "the row moved to another sample"
	default:
		c.Note = "it no longer passes the filter"
	}
	return c, true
}

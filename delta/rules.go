package delta

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// rowTrackingDomain holds the greatest row id handed out.
const rowTrackingDomain = "delta.rowTracking"

// checkWritable refuses a change that the table's protocol or properties forbid.
func (t *Table) checkWritable(ch *Change) error { return t.checkChange(ch.Read, ch) }

func (t *Table) checkChange(snap *Snapshot, ch *Change) error {
	p := snap.state.Protocol
	if ch.Protocol != nil {
		if err := gateWrite(ch.Protocol); err != nil {
			return err
		}
	}
	if err := gateWrite(p); err != nil {
		return err
	}
	if snap.property("delta.appendOnly") == "true" && slices.ContainsFunc(ch.Removes, func(r *txlog.Remove) bool { return r.DataChange }) {
		return errors.New("the table is append-only (delta.appendOnly): rows cannot be removed")
	}
	for _, k := range []string{"delta.enableIcebergCompatV1", "delta.enableIcebergCompatV2", "delta.enableIcebergCompatV3", "delta.enableIcebergWriterCompatV1"} {
		if snap.property(k) == "true" {
			return refuse(k)
		}
	}
	rewrites := len(ch.Removes) > 0 && len(ch.Adds) > 0 && !ch.Replaces && !keepsRows(ch)
	if FeedEnabled(snap.state.Metadata) && rewrites && len(ch.CDC) == 0 && ch.changesData() {
		return refuse("change data feed (rewriting rows needs change files)")
	}
	if snap.property(propRowTracking) == "true" && rewrites {
		return refuse("row tracking (rewriting rows needs their ids in the files)")
	}
	if ch.Protocol != nil {
		p = ch.Protocol
	}
	if len(ch.Domains) > 0 && !hasFeature(p, "domainMetadata") {
		return &UnsupportedError{Feature: "domainMetadata", Need: "a table with the feature", Have: "tables that have it"}
	}
	if !hasFeature(p, "deletionVectors") && slices.ContainsFunc(ch.Adds, func(a *txlog.Add) bool { return a.DeletionVector != nil }) {
		return &UnsupportedError{Feature: "deletionVectors", Need: "a table with the feature", Have: "tables that have it"}
	}
	return nil
}

func refuse(feature string) error {
	return &UnsupportedError{Feature: feature, Need: "writing with", Have: "tables without it"}
}

// keepsRows reports whether every added file is one of those removed, with another deletion vector: its rows stay where they are.
func keepsRows(ch *Change) bool {
	removed := map[string]bool{}
	for _, r := range ch.Removes {
		if key, err := txlog.DecodePath(r.Path); err == nil {
			removed[key] = true
		}
	}
	return !slices.ContainsFunc(ch.Adds, func(a *txlog.Add) bool {
		key, err := txlog.DecodePath(a.Path)
		return err != nil || !removed[key]
	})
}

// rowTracked gives the added files their first row ids and the domain that records the greatest one, where the table has the feature.
func (ch *Change) rowTracked(current *Snapshot, version int64) ([]*txlog.Add, *txlog.DomainMetadata, error) {
	p := ch.Protocol
	if p == nil && current != nil {
		p = current.state.Protocol
	}
	if p == nil || !hasFeature(p, "rowTracking") || len(ch.Adds) == 0 {
		return ch.Adds, nil, nil
	}
	last := ch.rowIDs
	if current != nil {
		if d := current.state.Domains[rowTrackingDomain]; d != nil {
			n, err := highWaterMark(d)
			if err != nil {
				return nil, nil, err
			}
			last = max(last, n)
		}
	}
	out, before := make([]*txlog.Add, len(ch.Adds)), last
	for i, a := range ch.Adds {
		out[i] = a
		if a.BaseRowID != nil {
			continue
		}
		rows := (&File{LiveFile: &txlog.LiveFile{Add: a}}).Records()
		if rows < 0 {
			return nil, nil, fmt.Errorf("row tracking: file %s does not tell how many rows it has", a.Path)
		}
		c, base, v := *a, last+1, version
		c.BaseRowID, c.DefaultRowCommitVersion = &base, &v
		out[i] = &c
		last += rows
	}
	if last == before {
		return out, nil, nil
	}
	return out, &txlog.DomainMetadata{Domain: rowTrackingDomain, Configuration: fmt.Sprintf(`{"rowIdHighWaterMark":%d}`, last)}, nil
}

func highWaterMark(d *txlog.DomainMetadata) (int64, error) {
	var w struct {
		RowIDHighWaterMark *int64 `json:"rowIdHighWaterMark"`
	}
	if err := json.Unmarshal([]byte(d.Configuration), &w); err != nil || w.RowIDHighWaterMark == nil {
		return -1, fmt.Errorf("domain %s: %q does not tell rowIdHighWaterMark", d.Domain, d.Configuration)
	}
	return *w.RowIDHighWaterMark, nil
}

// check is a rule that every row written must obey.
type check struct{ name, expression string }

// checksOf are the CHECK constraints and column invariants of a table.
func checksOf(m *txlog.Metadata, schema *Schema) ([]check, error) {
	var out []check
	if m != nil {
		for _, k := range sortedKeys(m.Configuration) {
			if name, ok := strings.CutPrefix(k, constraintPrefix); ok {
				out = append(out, check{"CHECK constraint " + name, m.Configuration[k]})
			}
		}
	}
	var fault error
	anyField(schema.Fields, func(f *Field) bool {
		raw, ok := f.Metadata["delta.invariants"]
		if !ok {
			return false
		}
		var text string
		var w struct {
			Expression struct {
				Expression string `json:"expression"`
			} `json:"expression"`
		}
		if json.Unmarshal([]byte(raw), &text) != nil {
			text = raw
		}
		if json.Unmarshal([]byte(text), &w) != nil || w.Expression.Expression == "" {
			fault = fmt.Errorf("column %s: the invariant %s cannot be read", f.Name, raw)
			return true
		}
		out = append(out, check{"invariant of column " + f.Name, w.Expression.Expression})
		return false
	})
	return out, fault
}

// checker counts the rows of a batch that break a rule.
type checker struct {
	check
	broken func(arrow.RecordBatch) (int64, error)
}

// checkers makes the checkers of rules, or refuses where this build cannot judge one.
func (t *Table) checkers(rules []check, schema *arrow.Schema) ([]checker, error) {
	var out []checker
	for _, r := range rules {
		if t.opts.Check == nil {
			return nil, refuse(r.name + " (" + r.expression + ")")
		}
		f, err := t.opts.Check(r.expression, schema)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", refuse(r.name+" ("+r.expression+")"), err)
		}
		out = append(out, checker{r, f})
	}
	return out, nil
}

// checkComputed refuses columns whose values a writer would have to compute: given says whether the rows have the column.
func checkComputed(fields []Field, given func(*Field) bool) error {
	for i := range fields {
		f := &fields[i]
		if _, ok := f.Metadata[metaGenerated]; ok {
			return refuse(metaGenerated + " of column " + f.Name)
		}
		if _, ok := f.Metadata[metaIdentity]; ok && !(given(f) && f.Metadata["delta.identity.allowExplicitInsert"] == "true") {
			return refuse(metaIdentity + " of column " + f.Name)
		}
		if v, ok := f.Metadata[metaDefault]; ok && !given(f) && !strings.EqualFold(strings.Trim(v, `"`), "null") {
			return refuse(metaDefault + " of column " + f.Name + " (the rows lack the column)")
		}
		if err := checkComputed(f.Type.Fields, func(*Field) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}

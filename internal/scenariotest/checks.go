package scenariotest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// faultOf compares failing with failing, and the kind of failure where Metaxy has a class of its own for it.
func faultOf(st *step, err error) string {
	want := st.Expect.Error
	switch {
	case want == nil && err == nil:
		return ""
	case want == nil:
		return err.Error()
	case err == nil:
		return fmt.Sprintf("must fail (%s: %s)", want.Class, want.Message)
	}
	var parse *filter.ParseError
	var input *resolve.InputError
	right := true
	switch want.Class {
	case "FeatureNotFoundError", "KeyError":
		right = errors.Is(err, metaxy.ErrFeatureNotFound)
	case "FilterParseError", "ValidationError", "TokenError":
		right = errors.As(err, &parse)
	case "MetadataSchemaError":
		right = errors.As(err, &input)
	}
	if !right {
		return fmt.Sprintf("%v is no %s", err, want.Class)
	}
	return ""
}

// counterparts are the codes of Metaxy's own warnings.
var counterparts = map[string]string{"MetaxyColumnMissingWarning": "PROVENANCE_MISSING"}

// decided are the codes of warnings that Metaxy does not give, for what section 19 of its description decides.
var decided = strings.Fields(`AGGREGATION_ORDER CLOCK_BEHIND COPY_SKIPPED DUPLICATE_ROWS EXTERNAL_VERSION_MISMATCH FALLBACK_HIDDEN FALLBACK_USED FOREIGN_DEFINITION HASH_MISMATCH HISTORY_DROPPED HISTORY_TOUCHED
	INVALID_STORED_FEATURE KEY_IN_TWO_PROJECTS LOSSY_CAST MIXED_PROVENANCE NAME_COLLISION NULL_IDS NULL_VERSIONS OPTIONAL_MISSING UNKNOWN_VERSION UNRESOLVED_EXTERNAL UNUSED_FILTER WEAK_HASH`)

// warningFault compares warnings: what Metaxy warns of is warned of, and nothing else but what a decision says.
func warningFault(st *step, got []metaxy.Warning) string {
	wanted := map[string]bool{}
	for _, w := range st.Expect.Warnings {
		code, ok := counterparts[w.Category]
		if !ok {
			return fmt.Sprintf("this test knows no warning %s", w.Category)
		}
		wanted[code] = true
	}
	found := map[string]bool{}
	for _, w := range got {
		if found[w.Code] = true; w.Message == "" || !wanted[w.Code] && !slices.Contains(decided, w.Code) {
			return fmt.Sprintf("warning %s (%s), which Metaxy does not give", w.Code, w.Message)
		}
	}
	for code := range wanted {
		if !found[code] {
			return fmt.Sprintf("no warning %s, want that for %s", code, st.Expect.Warnings[0].Message)
		}
	}
	return ""
}

// countFault compares what a resolve says of itself.
func countFault(st *step, got metaxy.Stats) string {
	for _, n := range []struct {
		name string
		want *int64
		got  int64
	}{{"new", st.Expect.Counts.New, got.New}, {"stale", st.Expect.Counts.Stale, got.Stale}, {"orphaned", st.Expect.Counts.Orphaned, got.Orphaned}} {
		if n.want != nil && *n.want != n.got {
			return fmt.Sprintf("%d %s counted, want %d", n.got, n.name, *n.want)
		}
	}
	want := st.Expect.Progress
	switch {
	case want == nil && got.Progress == nil:
		return ""
	case want == nil || got.Progress == nil:
		return fmt.Sprintf("input progress known: %v, want %v", got.Progress != nil, want != nil)
	case math.Abs(*want-*got.Progress) > 1e-9:
		return fmt.Sprintf("input progress %v, want %v", *got.Progress, *want)
	}
	return ""
}

// versions are those of a definition.
type versions struct {
	Project    string
	Feature    string            `json:"feature_version"`
	Definition string            `json:"definition_version"`
	Spec       string            `json:"feature_spec_version"`
	Fields     map[string]string `json:"field_versions"`
}

// push pushes the step's definitions and compares every version.
func (c *run) push(st *step, store *metaxy.DeltaStore) ([]metaxy.Warning, error) {
	g, err := c.definitions(st)
	if err != nil {
		return nil, err
	}
	r, err := store.Push(c.t.Context(), &metaxy.PushOptions{Graph: g, Project: st.Args.Project, Tags: st.Args.Tags})
	if err != nil || st.Expect.ProjectVersion == "" {
		return nil, err
	}
	if r.ProjectVersion != st.Expect.ProjectVersion || r.Recorded == *st.Expect.AlreadyPushed {
		return nil, fmt.Errorf("project version %s (recorded %v), want %s (already there: %v)", r.ProjectVersion, r.Recorded, st.Expect.ProjectVersion, *st.Expect.AlreadyPushed)
	}
	if want := slices.Sorted(slices.Values(st.Expect.Updated)); !slices.Equal(slices.Sorted(slices.Values(r.Updated)), want) {
		return nil, fmt.Errorf("updated %q, want %q", r.Updated, want)
	}
	for text, want := range st.Expect.Versions {
		if err := versionFault(g, MustKey(c.t, text), want); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
	}
	return r.Warnings, nil
}

func versionFault(g *feature.Graph, key feature.Key, want versions) error {
	d, ok := g.Get(key)
	if !ok {
		return fmt.Errorf("is not in the graph")
	}
	got := versions{Project: d.Project, Fields: map[string]string{}}
	var err error
	for _, v := range []struct {
		to *string
		of func(feature.Key) (string, error)
	}{{&got.Feature, g.FeatureVersion}, {&got.Definition, g.DefinitionVersion}, {&got.Spec, g.SpecVersion}} {
		if *v.to, err = v.of(key); err != nil {
			return err
		}
	}
	for _, f := range d.Spec.Fields {
		if got.Fields[f.Key.String()], err = g.FieldVersion(key, f.Key); err != nil {
			return err
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("versions %v, want %v", got, want)
	}
	return nil
}

// checkHistory compares the list of pushed versions with Metaxy's.
func (c *run) checkHistory(st *step, root string) string {
	list, err := c.open(st, root, st.Target).History(c.t.Context(), st.Args.Project)
	if fault := faultOf(st, err); fault != "" || err != nil {
		return fault
	}
	if len(list) != *st.Expect.Counts.Snapshots {
		return fmt.Sprintf("%d snapshots, want %d", len(list), *st.Expect.Counts.Snapshots)
	}
	var got []string
	for i, e := range list {
		if i > 0 && e.RecordedAt.After(list[i-1].RecordedAt) {
			return "the history is not newest first"
		}
		got = append(got, fmt.Sprintf("feature_count=%q;metaxy_project_version=%q;recorded_at=%s;", fmt.Sprint(e.Features), e.ProjectVersion, e.RecordedAt.UTC().Format(time.RFC3339Nano)))
	}
	_, want := c.expected(st.Expect.Snapshots, nil)
	return RowsFault(want, got)
}

// logFiles has the sizes of the files of every Delta log of the store: what a failed step must not change.
func (c *run) logFiles(st *step, root string) map[string]int64 {
	c.t.Helper()
	out := map[string]int64{}
	for o, err := range c.open(st, root, st.Target).Storage().List(c.t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			c.t.Fatal(err)
		}
		if strings.Contains(o.Key, "/_delta_log/") {
			out[o.Key] = o.Size
		}
	}
	return out
}

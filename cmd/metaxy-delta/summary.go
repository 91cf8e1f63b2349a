package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// incrementJSON is the summary of a resolve. What was not looked for is null.
type incrementJSON struct {
	Feature        string `json:"feature"`
	FeatureVersion string `json:"feature_version"`
	ProjectVersion string `json:"project_version"`
	TableVersion   int64  `json:"table_version"`
	New            *int64 `json:"new"`
	Stale          *int64 `json:"stale"`
	Orphaned       *int64 `json:"orphaned"`
	// OrphanedGroups are the columns by which orphans are counted, each once,
	// where a sample has several rows.
	OrphanedGroups []string       `json:"orphaned_groups,omitempty"`
	Input          *int64         `json:"input,omitempty"`
	LeftOut        *int64         `json:"failed_left_out,omitempty"`
	Shard          string         `json:"shard,omitempty"`
	Out            string         `json:"out,omitempty"`
	Files          []manifestFile `json:"files,omitempty"`
	Warnings       []warningJSON  `json:"warnings"`
	Sources        []sourceJSON   `json:"sources"`
	Stats          map[string]any `json:"stats"`
	// Reasons count the rows of each part by reason.
	Reasons map[string]map[string]int64 `json:"reasons,omitempty"`
}

type warningJSON struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type sourceJSON struct {
	Feature      string `json:"feature"`
	Store        string `json:"store"`
	TableVersion int64  `json:"table_version"`
	Fallback     bool   `json:"fallback"`
}

func warningsJSON(ws []metaxy.Warning) []warningJSON {
	out := []warningJSON{}
	for _, w := range ws {
		out = append(out, warningJSON{w.Code, w.Message})
	}
	return out
}

// summarize tells what a resolve found, once its rows have gone by; rows is how many did.
func summarize(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, inc *metaxy.Increment, f *resolveFlags, rows int64) *incrementJSON {
	pv, err := store.ProjectVersion(ctx)
	if err != nil {
		pv = "" // several projects and none chosen: there is no one version to tell
	}
	out := &incrementJSON{Feature: key.String(), FeatureVersion: inc.FeatureVersion, ProjectVersion: pv, TableVersion: inc.TableVersion,
		Warnings: warningsJSON(inc.Warnings()), Sources: []sourceJSON{}, Stats: map[string]any{}}
	for _, s := range inc.Sources() {
		out.Sources = append(out.Sources, sourceJSON{s.Feature.String(), s.Store, s.TableVersion, s.Fallback})
	}
	if f.share != nil {
		out.Shard = f.shard
	}
	if f.part == "input" {
		out.Input = &rows
		return out
	}
	st := inc.Stats()
	out.New, out.Stale, out.Orphaned = &st.New, &st.Stale, &st.Orphaned
	out.OrphanedGroups = expandedBy(ctx, store, key)
	out.Stats["rows_read"], out.Stats["expected"], out.Stats["current"] = st.RowsRead, st.Expected, st.Current
	if f.skipFailed || f.retryFailed {
		n := inc.LeftOut()
		out.LeftOut = &n
	}
	out.Reasons = reasonCounts(inc)
	if inc.Remembered() {
		out.Stats["remembered"] = true
	}
	if st.Progress != nil {
		out.Stats["input_progress"] = *st.Progress
	}
	return out
}

// expandedBy are the columns that the rows of a sample have in common, of a
// feature that makes several rows of one; nil of others.
func expandedBy(ctx context.Context, store *metaxy.DeltaStore, key feature.Key) []string {
	g, err := store.Graph(ctx)
	if err != nil {
		return nil
	}
	d, ok := g.Get(key)
	if !ok || !slices.ContainsFunc(d.Spec.Deps, func(d feature.Dep) bool { return d.Lineage.Kind == feature.Expansion }) {
		return nil
	}
	plan, err := g.Plan(key)
	if err != nil {
		return nil
	}
	return plan.JoinColumns()
}

// printSummary writes the summary to --summary, and prints it: as JSON when
// that is asked for, else for people, who read it on stderr while stdout has
// rows.
func (a *app) printSummary(ctx context.Context, inc *metaxy.Increment, sum *incrementJSON, f *resolveFlags) error {
	if f.summary == "-" {
		return a.printValue(sum)
	}
	if f.summary != "" {
		text, err := orderedjson.Indented(sum)
		if err != nil {
			return err
		}
		if err := atomicfile.WriteFile(ctx, f.summary, []byte(text)); err != nil {
			return err
		}
	}
	rows := f.part != "" && onStdout(a.flags.output)
	// With --out, and with --part, a format other than JSON is that of the rows.
	switch {
	case rows && a.flags.json: // it is in the file
		return nil
	case f.part != "" && a.flags.json:
		return a.printValue(sum)
	case f.part == "" && (a.flags.json || a.flags.format == "json" || f.out == "" && a.forPrograms()):
		return a.printJSON(sum)
	}
	text, err := a.summaryText(ctx, inc, sum, f.explain)
	if err != nil {
		return err
	}
	if rows {
		a.note(strings.TrimSuffix(text, "\n"))
		return nil
	}
	_, err = fmt.Fprint(a.sys.stdout, text)
	return err
}

// summaryText is the summary for people.
func (a *app) summaryText(ctx context.Context, inc *metaxy.Increment, sum *incrementJSON, explain bool) (string, error) {
	var b strings.Builder
	if sum.Input != nil {
		fmt.Fprintf(&b, "%s: %s rows of input\n", sum.Feature, thousands(*sum.Input))
	} else {
		fmt.Fprintf(&b, "%s: %s new, %s stale, %s orphaned\n", sum.Feature, thousands(*sum.New), thousands(*sum.Stale), thousands(*sum.Orphaned))
	}
	for _, part := range partNames {
		if text := reasonText(part, sum.Reasons[part]); text != "" {
			b.WriteString("  " + terminal.Printable(text) + "\n")
		}
	}
	if sum.LeftOut != nil && *sum.LeftOut > 0 {
		fmt.Fprintf(&b, "%s that failed before were left out\n", thousands(*sum.LeftOut))
	}
	switch n := len(sum.Files); {
	case n > 0 && n <= len(partNames):
		var names []string
		for _, f := range sum.Files {
			names = append(names, f.Name)
		}
		fmt.Fprintf(&b, "written to %s: %s\n", sum.Out, strings.Join(names, ", "))
	case n > 0:
		fmt.Fprintf(&b, "written to %s: %s files, which its manifest lists\n", sum.Out, thousands(int64(n)))
	}
	if !explain {
		return b.String(), nil
	}
	if sum.Input == nil {
		st := inc.Stats()
		fmt.Fprintf(&b, "expected %s rows, compared with %s stored; %s rows of deciding columns read\n", thousands(st.Expected), thousands(st.Current), thousands(st.RowsRead))
	}
	if inc.Remembered() {
		fmt.Fprintln(&b, "an earlier resolve is remembered: only samples that were outstanding or changed since were looked at")
	}
	for _, s := range sum.Sources {
		note := ""
		if s.Fallback {
			note = " (fallback)"
		}
		fmt.Fprintf(&b, "  %s from %s, table version %d%s\n", s.Feature, s.Store, s.TableVersion, note)
	}
	plan, err := inc.Explain(ctx)
	return b.String() + plan, err
}

// printValue writes a value as JSON to stdout, wherever --output sends the rows.
func (a *app) printValue(v any) error {
	text, err := orderedjson.Indented(v)
	if err == nil {
		_, err = fmt.Fprint(a.sys.stdout, text)
	}
	return err
}

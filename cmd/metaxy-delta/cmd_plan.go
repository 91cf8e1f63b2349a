package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

func (a *app) planCommand() *cobra.Command {
	f := statusFlags{fallback: true}
	cmd := &cobra.Command{Use: "plan [KEY...]", Short: "What there is to do in the whole project, in order, and what will follow", Annotations: ownFormats("table json jsonl csv markdown"),
		Long: `Say for each feature of the project, those upstream first, what there is to do now, why, and what will be to do once that is done. With --definitions it
says what a change of the definitions makes of what is stored, before it is pushed; --format markdown is for a pull request.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.plan(cmd.Context(), args, &f) }}
	fl := cmd.Flags()
	fl.BoolVar(&f.all, "all-features", false, "every feature of the project, which is the default")
	fl.StringArrayVar(&f.filters, "filter", nil, "predicate on the feature's own rows")
	fl.StringArrayVar(&f.global, "global-filter", nil, "predicate on every table's rows")
	fl.StringArrayVar(&f.staleIf, "stale-if", nil, "stored samples for which this is true are stale")
	fl.BoolVar(&f.noRemember, "no-remember", false, "look at all rows, whatever an earlier resolve proved, and keep nothing of this one")
	return cmd
}

type planJSON struct {
	Feature    string                      `json:"feature"`
	State      string                      `json:"state"`
	Version    string                      `json:"feature_version"`
	OldVersion *string                     `json:"pushed_version"` // null: it was not pushed
	Change     string                      `json:"change"`         // of the definition since the newest push
	Rows       int64                       `json:"stored"`
	New        *int64                      `json:"new"` // null: unknown, and of roots
	Stale      *int64                      `json:"stale"`
	Orphaned   *int64                      `json:"orphaned"`
	Reasons    map[string]map[string]int64 `json:"reasons"`
	LaterNew   int64                       `json:"later_new"`
	LaterStale int64                       `json:"later_stale"`
	WaitingFor []string                    `json:"waiting_for"`
	Error      string                      `json:"error,omitempty"`

	root bool
}

func (a *app) plan(ctx context.Context, args []string, f *statusFlags) error {
	format := a.rowFormat("table")
	if formats := []string{"table", "plain", "json", "jsonl", "csv", "markdown"}; !slices.Contains(formats, format) {
		return usagef("--format %q: `metaxy-delta plan` gives one of %s", format, strings.Join(formats, ", "))
	}
	o, err := f.statusOptions()
	if err != nil {
		return err
	}
	store, err := a.openStore(ctx, openOptions{sync: true})
	if err != nil {
		return err
	}
	defer store.Close()
	keys, g, err := a.chosenDefined(ctx, store, args, f.all || len(args) == 0)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return a.nothingToCheck(store, true)
	}
	found, err := store.Plan(ctx, keys, o)
	if err != nil {
		return err
	}
	changes, pushed := sincePush(ctx, store, g)
	var list []planJSON
	for i := range found {
		a.warn(found[i].Warnings)
		list = append(list, planOf(&found[i], changes))
	}
	switch {
	case a.forPrograms():
		return a.printList(members{member("pushed_version", pushed), member("features", list)}, list)
	case format == "markdown":
		return a.printText(planMarkdown(list, pushed))
	}
	return a.printText(terminal.Printable(planText(list, pushed, a.style().Width)))
}

// sincePush is how the definitions in force differ from those pushed last, by
// feature; nil when nothing was pushed, or when they cannot be compared.
func sincePush(ctx context.Context, store *metaxy.DeltaStore, g *feature.Graph) (changes map[string]feature.FeatureDiff, pushed *string) {
	changes = map[string]feature.FeatureDiff{}
	for _, project := range g.Projects() {
		list, err := store.History(ctx, project)
		if err != nil || len(list) == 0 {
			continue
		}
		newest := slices.MaxFunc(list, func(a, b metaxy.HistoryEntry) int { return a.LastPushed.Compare(b.LastPushed) }).ProjectVersion
		old, err := store.SnapshotGraph(ctx, newest, project)
		if err != nil {
			continue
		}
		pushed = &newest
		nodes, err := feature.Diff(old, g, func(d *feature.Definition) bool { return d.Project == project && !d.External })
		if err != nil {
			continue // on a circle: the features say so
		}
		for _, n := range nodes {
			changes[n.Key.String()] = n
		}
	}
	return changes, pushed
}

func planOf(st *metaxy.Status, changes map[string]feature.FeatureDiff) planJSON {
	out := planJSON{Feature: st.Feature.String(), State: st.Verdict(), Version: st.FeatureVersion, Rows: st.Rows, LaterNew: st.LaterNew, LaterStale: st.LaterStale, WaitingFor: []string{}, Reasons: map[string]map[string]int64{}, root: st.Root}
	if n, ok := changes[out.Feature]; ok {
		out.Change = n.Change.String()
		if n.Upstream {
			out.Change = "changed upstream"
		}
		if n.Old != "" {
			out.OldVersion = &n.Old
		}
	}
	if st.Err != nil {
		out.Error = st.Err.Error()
	}
	if st.State != "" && !st.Root {
		out.New, out.Stale, out.Orphaned = &st.New, &st.Stale, &st.Orphaned
	}
	for _, k := range st.Waiting {
		out.WaitingFor = append(out.WaitingFor, k.String())
	}
	for part, name := range partNames {
		if counts := st.Reasons[metaxy.Part(part)]; len(counts) > 0 {
			out.Reasons[name] = counts
		}
	}
	return out
}

// why are the reasons, a line a part, then what waits and what went wrong.
func (p *planJSON) why() []string {
	var out []string
	for _, name := range partNames {
		if text := reasonText(name, p.Reasons[name]); text != "" {
			out = append(out, text)
		}
	}
	if len(p.WaitingFor) > 0 {
		out = append(out, "waiting for "+strings.Join(p.WaitingFor, ", "))
	}
	if p.Error != "" {
		out = append(out, "error: "+p.Error)
	}
	if p.root && p.Rows == 0 && p.Error == "" {
		out = append(out, "a root without rows: write its samples")
	}
	return out
}

// version is the feature's, with that of the newest push where they differ.
func (p *planJSON) version() string {
	switch {
	case p.OldVersion != nil && *p.OldVersion != p.Version && p.Version != "":
		return *p.OldVersion + " -> " + p.Version
	case p.Change == "added":
		return "new " + p.Version
	}
	return p.Version
}

func countOf(n *int64) string {
	if n == nil {
		return "-"
	}
	return thousands(*n)
}

// laterOf is what will follow, in words.
func (p *planJSON) laterOf() string {
	var out []string
	if p.LaterNew > 0 {
		out = append(out, thousands(p.LaterNew)+" new")
	}
	if p.LaterStale > 0 {
		out = append(out, thousands(p.LaterStale)+" stale")
	}
	return orDash(out)
}

// totals sum up a plan.
func totals(list []planJSON) string {
	var work, waiting, failed, now, later int64
	for i := range list {
		p := &list[i]
		switch p.State {
		case "work":
			work++
		case "waiting":
			waiting++
		case "error":
			failed++
		}
		for _, n := range []*int64{p.New, p.Stale, p.Orphaned} {
			if n != nil {
				now += *n
			}
		}
		later += p.LaterNew + p.LaterStale
	}
	text := fmt.Sprintf("%d features: %d with work (%s samples), %d waiting (up to %s samples to follow)", len(list), work, thousands(now), waiting, thousands(later))
	if failed > 0 {
		text += fmt.Sprintf(", %d in error", failed)
	}
	return text
}

// planText is a plan for people, in lines of at most width cells; 0 = no limit.
func planText(list []planJSON, pushed *string, width int) string {
	var b strings.Builder
	line := func(text, indent string) {
		if width > 0 {
			b.WriteString(terminal.Wrap(text, width, indent))
			return
		}
		b.WriteString(indent + text + "\n")
	}
	for i := range list {
		p := &list[i]
		head := fmt.Sprintf("%d. %s  %s", i+1, p.Feature, strings.ReplaceAll(p.State, "_", " "))
		if v := p.version(); v != p.Version {
			head += "  " + v
		}
		head += fmt.Sprintf("  (%s stored)", thousands(p.Rows))
		if width > 0 && terminal.Cells(head) > width {
			b.WriteString(terminal.Wrap(head, width, ""))
		} else {
			b.WriteString(head + "\n")
		}
		for _, text := range p.why() {
			line(text, "     ")
		}
		if later := p.laterOf(); later != "-" {
			line("then: "+later, "     ")
		}
	}
	if pushed == nil {
		b.WriteString("Nothing was pushed to this store yet.\n")
	}
	line(totals(list), "")
	return b.String()
}

// planMarkdown is a table for a pull request.
func planMarkdown(list []planJSON, pushed *string) string {
	cell := strings.NewReplacer("|", `\|`, "\n", " ").Replace
	var b strings.Builder
	b.WriteString("| feature | version | stored | new | stale | orphaned | then | why |\n|---|---|--:|--:|--:|--:|---|---|\n")
	for i := range list {
		p := &list[i]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", cell(p.Feature), cell(p.version()), thousands(p.Rows), countOf(p.New), countOf(p.Stale), countOf(p.Orphaned), p.laterOf(), cell(strings.Join(p.why(), "; ")))
	}
	b.WriteString("\n" + totals(list) + ".")
	if pushed != nil {
		b.WriteString(" Compared with project version `" + *pushed + "`.")
	}
	b.WriteString("\n")
	return terminal.Printable(b.String())
}

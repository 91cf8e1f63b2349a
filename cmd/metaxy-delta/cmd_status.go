package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

type statusFlags struct {
	all, inSync, fallback, progress bool
	noRemember                      bool
	filters, global, staleIf        []string
	snapshot                        string
}

func (a *app) statusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{Use: "status [KEY...]", Short: "What each feature holds, needs and waits for",
		Long: `Say what each feature holds and what a resolve of it finds: of the named features, else of the whole project. A feature is in sync, has work (new,
stale or orphaned samples), is waiting (a feature upstream has work or no rows under its current version, a root has no rows yet) or is in error.

With --assert-in-sync the exit code is 0 only when every feature was examined and is in sync, 20 when there is work or one is waiting, else that of the
error; 6 when there is nothing to check.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			// As in Metaxy, --progress without a value asks for the share of input that is processed.
			f.progress = f.progress || a.flags.verbose || cmd.Flags().Changed("progress")
			return a.status(cmd.Context(), args, &f)
		}}
	fl := cmd.Flags()
	fl.BoolVar(&f.all, "all-features", false, "every feature of the project")
	fl.StringArrayVar(&f.filters, "filter", nil, "predicate on the feature's own rows")
	fl.StringArrayVar(&f.global, "global-filter", nil, "predicate on every table's rows")
	fl.StringArrayVar(&f.staleIf, "stale-if", nil, "stored samples for which this is true are stale")
	fl.StringVar(&f.snapshot, "snapshot-id", "", "the same as --project-version, as Metaxy names it here")
	fl.Lookup("snapshot-id").Hidden = true
	fl.BoolVar(&f.inSync, "assert-in-sync", false, "exit 20 unless every feature is in sync, or with the code of the error")
	fl.BoolVar(&f.fallback, "allow-fallback-stores", true, "count rows of fallback stores")
	fl.BoolVar(&f.noRemember, "no-remember", false, "look at all rows, whatever an earlier resolve proved, and keep nothing of this one")
	fl.BoolVar(&f.progress, "input-progress", false, "show the share of input that is processed")
	return cmd
}

// featureStatus is Metaxy's object of one feature.
type featureStatus struct {
	FeatureKey     string         `json:"feature_key"`
	Status         string         `json:"status"`
	NeedsUpdate    *bool          `json:"needs_update"`
	MetadataExists bool           `json:"metadata_exists"`
	StoreRows      int64          `json:"store_rows"`
	Missing        *int64         `json:"missing,omitempty"`
	Stale          *int64         `json:"stale,omitempty"`
	Orphaned       *int64         `json:"orphaned,omitempty"`
	TargetVersion  string         `json:"target_version"`
	IsRoot         bool           `json:"is_root_feature"`
	SampleDetails  []string       `json:"sample_details,omitempty"`
	StoreMetadata  *storeMetadata `json:"store_metadata,omitempty"`
	ErrorMessage   string         `json:"error_message,omitempty"`
	Progress       *pyFloat       `json:"progress_percentage,omitempty"`
	// State and WaitingFor are this program's own: in_sync, work, waiting or error.
	State      string   `json:"state"`
	WaitingFor []string `json:"waiting_for,omitempty"`
	// noInput: progress was asked for, and there is nothing upstream.
	noInput bool
}

type statusJSON struct {
	ProjectVersion *string         `json:"project_version"`
	Features       members         `json:"features"`
	NeedsUpdate    *bool           `json:"needs_update"` // null: of some features it is unknown
	InSync         bool            `json:"in_sync"`
	Warnings       *statusWarnings `json:"warnings,omitempty"`
}

type statusWarnings struct {
	Errors []statusError `json:"errors,omitempty"`
}

type statusError struct {
	Feature string `json:"feature"`
	Error   string `json:"error"`
}

// storeMetadata says which store was asked and which one has the table.
type storeMetadata struct {
	Name         string        `json:"name"`
	Display      string        `json:"display"`
	ResolvedFrom *resolvedFrom `json:"resolved_from,omitempty"`
}

type resolvedFrom struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Display string `json:"display"`
	URI     string `json:"uri"`
}

// pyFloat is written as Python writes a float: 75.0.
type pyFloat float64

// MarshalJSON always writes a point.
func (f pyFloat) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(f), 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return []byte(text), nil
}

// locateFor tells where a feature's table is: in the store, else in the first fallback store that has it.
func locateFor(ctx context.Context, store *metaxy.DeltaStore, key feature.Key) *storeMetadata {
	out := &storeMetadata{Name: store.Name(), Display: store.String()}
	var find func(s *metaxy.DeltaStore) *resolvedFrom
	find = func(s *metaxy.DeltaStore) *resolvedFrom {
		if ok, err := s.HasFeature(ctx, key, nil); err == nil && ok {
			return &resolvedFrom{s.Name(), config.DeltaStoreType, s.String(), s.TableURL(key)}
		}
		for _, f := range s.Fallbacks() {
			if ds, ok := f.Store.(*metaxy.DeltaStore); ok {
				if r := find(ds); r != nil {
					return r
				}
			}
		}
		return nil
	}
	out.ResolvedFrom = find(store)
	return out
}

func (f *statusFlags) statusOptions() (*metaxy.StatusOptions, error) {
	o := &metaxy.StatusOptions{Progress: f.progress, NoFallback: !f.fallback, NoRemember: f.noRemember}
	var err error
	if o.TargetFilters, err = parseFilters("--filter", f.filters); err != nil {
		return nil, err
	}
	if o.GlobalFilters, err = parseFilters("--global-filter", f.global); err != nil {
		return nil, err
	}
	o.StaleIf, err = parseFilters("--stale-if", f.staleIf)
	return o, err
}

func (a *app) status(ctx context.Context, args []string, f *statusFlags) error {
	if f.snapshot != "" {
		a.flags.snapshot = f.snapshot
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
	keys, _, err := a.chosenDefined(ctx, store, args, f.all || len(args) == 0)
	if err != nil {
		return err
	}
	shown := map[feature.Key][]string{}
	if a.flags.verbose {
		o.Inspect = func(ctx context.Context, inc *metaxy.Increment) (err error) {
			shown[inc.Feature()], err = previews(ctx, inc)
			return err
		}
	}
	bar := a.startProgress(fmt.Sprintf("status of %d features", len(keys)))
	found, err := store.StatusAll(ctx, keys, o)
	bar.stop()
	if err != nil {
		return err
	}
	out := &statusJSON{Features: members{}}
	if f.snapshot != "" {
		out.ProjectVersion = &f.snapshot
	}
	var list []*featureStatus
	for i := range found {
		st := a.statusOf(ctx, store, &found[i], f.progress)
		st.SampleDetails = shown[found[i].Feature]
		list = append(list, st)
		out.Features = append(out.Features, member(st.FeatureKey, st))
	}
	out.sum(list)
	if err := a.printStatus(out, list); err != nil {
		return err
	}
	if len(list) == 0 {
		return a.nothingToCheck(store, f.inSync)
	}
	a.hintSmallFiles(ctx, store, list)
	if f.inSync {
		return notInSync(found)
	}
	return nil
}

// allDefined is the error for the keys that nothing defines.
func (a *app) allDefined(g *feature.Graph, keys []feature.Key) error {
	var missing []string
	for _, key := range keys {
		if _, ok := g.Get(key); !ok {
			missing = append(missing, key.String())
		}
	}
	if len(missing) > 0 {
		return a.notFound(g, missing)
	}
	return nil
}

// sum fills what is said of all features together. What some need is unknown as
// long as none is known to need something.
func (out *statusJSON) sum(list []*featureStatus) {
	needs, unknown := false, false
	out.InSync = len(list) > 0
	for _, st := range list {
		unknown = unknown || st.NeedsUpdate == nil
		needs = needs || st.NeedsUpdate != nil && *st.NeedsUpdate
		out.InSync = out.InSync && st.State == "in_sync"
		if st.State == "error" {
			if out.Warnings == nil {
				out.Warnings = &statusWarnings{}
			}
			out.Warnings.Errors = append(out.Warnings.Errors, statusError{st.FeatureKey, st.ErrorMessage})
		}
	}
	if needs || !unknown {
		out.NeedsUpdate = &needs
	}
}

// nothingToCheck tells where definitions may be; nothing at all is not in sync.
func (a *app) nothingToCheck(store *metaxy.DeltaStore, asserted bool) error {
	hint := a.missingFolder() + "definitions come from --definitions, from the files that the configuration names, or from a push: `metaxy push --store " + store.Name() + "` where they are Python classes, `metaxy-delta push` where they are files"
	for _, f := range store.Fallbacks() {
		hint += "; those of fallback store " + f.Name + ": --store " + f.Name
	}
	if asserted {
		return &cliError{code: "NO_FEATURES", exit: exitNotFound, msg: "there is nothing to check: no definitions in store " + store.Name(), hint: hint}
	}
	a.note("Hint: " + hint)
	return nil
}

// notInSync is how a gate ends: quietly with 20 where there is work or one
// waits, else with the first error.
func notInSync(list []metaxy.Status) error {
	var failed error
	for i := range list {
		switch list[i].Verdict() {
		case "in_sync":
		case "error":
			if failed == nil {
				failed = fmt.Errorf("%s is not known to be in sync: %w", list[i].Feature, list[i].Err)
			}
		default:
			return &cliError{code: "NEEDS_UPDATE", exit: exitWorkFound, quiet: true}
		}
	}
	return failed
}

var statusIcons = map[string]string{"missing": "✗", "root_feature": "○", "needs_update": "⚠", "up_to_date": "✓", "error": "!"}

func (a *app) printStatus(out *statusJSON, list []*featureStatus) error {
	const none = "No valid features to check"
	if a.forPrograms() {
		if len(list) == 0 {
			return a.printList(members{member("warning", none), member("features", members{}), member("project_version", out.ProjectVersion), member("needs_update", false), member("in_sync", false)}, list)
		}
		return a.printList(out, list)
	}
	if len(list) == 0 {
		a.warning("", none+".")
		return nil
	}
	var rows [][]string
	var b strings.Builder
	for _, s := range list {
		rows = append(rows, s.row())
		if len(s.SampleDetails) > 0 {
			fmt.Fprintf(&b, "\n%s preview\n\n%s\n", s.FeatureKey, strings.Replace(strings.Join(s.SampleDetails, "\n\n"), "Missing samples:", "New samples:", 1))
		}
	}
	style := a.style()
	columns := statusColumns()
	legend, notes := "", ""
	if style.Width > 0 {
		legend = statusLegend(style, rows)
	}
	if !style.Fits(columns, rows) { // places are left out, and the rest stands below
		for i, s := range list {
			if s.State == "waiting" || s.State == "error" {
				notes += terminal.Wrap(rows[i][0]+" "+s.FeatureKey+": "+rows[i][infoColumn], style.Width, "")
			}
			rows[i] = rows[i][:infoColumn]
		}
		columns = columns[:infoColumn]
	}
	return a.printStyled(style.Table("", columns, rows) + legend + terminal.Printable(notes+b.String()))
}

// signMeanings say what the signs of status stand for.
var signMeanings = [][2]string{{"✓", "in sync"}, {"⚠", "work to do"}, {"✗", "no table yet"}, {"⧗", "waits for upstream"}, {"○", "root"}, {"!", "error"}}

// statusLegend explains the signs that are there.
func statusLegend(style terminal.Style, rows [][]string) string {
	var out []string
	for _, m := range signMeanings {
		if slices.ContainsFunc(rows, func(r []string) bool { return strings.HasPrefix(r[0], m[0]) }) {
			out = append(out, m[0]+" "+m[1])
		}
	}
	return style.Paint(terminal.Faint, terminal.Cut(strings.Join(out, "  "), style.Width)) + "\n"
}

// infoColumn is the last column of statusColumns.
const infoColumn = 6

func statusColumns() []terminal.Column {
	work := func(p terminal.Paint) func(string) terminal.Paint {
		return func(cell string) terminal.Paint {
			if cell == "0" || cell == "-" {
				return terminal.Faint
			}
			return p
		}
	}
	out := append(terminal.Left("Status", "Feature"), terminal.Right("Materialized", "New", "Stale", "Orphaned")...)
	out = append(out, terminal.Column{Title: "Info", Front: true})
	out[1].Whole = true
	out[0].Paint, out[3].Paint, out[4].Paint, out[5].Paint = statusPaint, work(terminal.Yellow), work(terminal.Yellow), work(terminal.Yellow)
	return out
}

// statusPaint is the colour of a sign.
func statusPaint(cell string) terminal.Paint {
	switch []rune(cell + " ")[0] {
	case '✓':
		return terminal.Green
	case '⚠':
		return terminal.Yellow
	case '✗', '!':
		return terminal.Red
	case '⧗':
		return terminal.Cyan
	}
	return terminal.Faint
}

// row is a line of the table for people.
func (st *featureStatus) row() []string {
	icon, info := statusIcons[st.Status], ""
	switch {
	case st.State == "waiting" && st.Status == "up_to_date":
		icon = "⧗"
	case st.State == "error":
		icon = statusIcons["error"]
	}
	switch {
	case st.Status == "error":
		return []string{icon, st.FeatureKey, "-", "-", "-", "-", st.ErrorMessage}
	case st.Progress != nil:
		icon += fmt.Sprintf(" (%.0f%%)", float64(*st.Progress))
	case st.noInput:
		icon = "⚠ (no input)"
	}
	count := func(n *int64) string {
		if n == nil || st.noInput {
			return "-"
		}
		return thousands(*n)
	}
	if m := st.StoreMetadata; m != nil {
		info = m.Name
		if m.ResolvedFrom != nil {
			info = m.ResolvedFrom.Name + " " + m.ResolvedFrom.URI
			if m.ResolvedFrom.Name != m.Name {
				info = "fallback " + info
			}
		}
	}
	switch {
	case len(st.WaitingFor) > 0:
		info = "waiting for " + strings.Join(st.WaitingFor, ", ")
	case st.State == "error":
		info = st.ErrorMessage
	}
	return []string{icon, st.FeatureKey, thousands(st.StoreRows), count(st.Missing), count(st.Stale), count(st.Orphaned), info}
}

// statusOf is Metaxy's object of a status. Its own words say nothing of what waits.
func (a *app) statusOf(ctx context.Context, store *metaxy.DeltaStore, st *metaxy.Status, progress bool) *featureStatus {
	out := &featureStatus{FeatureKey: st.Feature.String(), Status: "error", IsRoot: st.Root, State: st.Verdict()}
	for _, key := range st.Waiting {
		out.WaitingFor = append(out.WaitingFor, key.String())
	}
	if st.Err != nil {
		out.ErrorMessage = st.Err.Error()
	} else {
		needs := st.NeedsUpdate()
		out.NeedsUpdate = &needs
	}
	if st.State == "" {
		return out // nothing is known of the feature itself
	}
	a.warn(st.Warnings)
	out.Status, out.MetadataExists, out.StoreRows, out.TargetVersion = string(st.State), st.Exists, st.Rows, st.FeatureVersion
	out.StoreMetadata = locateFor(ctx, store, st.Feature)
	if !st.Root {
		out.Missing, out.Stale, out.Orphaned = &st.New, &st.Stale, &st.Orphaned
		out.Progress = (*pyFloat)(st.Progress)
		out.noInput = progress && st.Progress == nil
	}
	return out
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
	"github.com/metaxy-delta/metaxy-delta/why"
)

type whyFlags struct {
	resolveFlags
	allStale bool
	limit    int
}

func (a *app) whyCommand() *cobra.Command {
	var f whyFlags
	cmd := &cobra.Command{Use: "why KEY ID...", Short: "Why samples are new, stale or orphaned", Args: cobra.MinimumNArgs(1),
		Long: `Say why samples of a feature are new, stale or orphaned: which upstream version changed, from what to what, since when and by which commit of which table. An
ID is a value, or column=value,column=value where samples are joined on several columns. The causes are read off the rows that the tables still have,
those that a hard delete removed too: what a vacuum or a compaction took away is said to be unknown. Exit code 6 when a sample is neither stored nor upstream.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.why(cmd.Context(), args[0], args[1:], &f) }}
	fl := cmd.Flags()
	fl.BoolVar(&f.allStale, "all-stale", false, "every stale sample")
	fl.IntVar(&f.limit, "limit", 0, "with --all-stale: no more samples than this; 0 = all")
	f.registerFilters(fl)
	return cmd
}

type causeJSON struct {
	Change      string  `json:"change"`
	Field       string  `json:"field,omitempty"`
	Parent      string  `json:"parent,omitempty"`
	ParentField string  `json:"parent_field,omitempty"`
	Member      string  `json:"member,omitempty"`
	Old         *string `json:"old"`
	New         *string `json:"new"`
	Since       *string `json:"since"`  // null: unknown
	Commit      *int64  `json:"commit"` // null: unknown
	Note        string  `json:"note,omitempty"`
}

type whyJSON struct {
	Feature string            `json:"feature"`
	ID      map[string]string `json:"id"`
	State   string            `json:"state"`
	Stored  *string           `json:"stored_at"`
	Reason  string            `json:"reason"`
	Causes  []causeJSON       `json:"causes"`
	Unknown string            `json:"unknown,omitempty"`
}

// whyChunk is how many samples are explained at a time.
const whyChunk = 10_000

func (a *app) why(ctx context.Context, text string, ids []string, f *whyFlags) error {
	key, err := a.parseKey(text)
	if err != nil {
		return err
	}
	switch {
	case f.allStale == (len(ids) > 0):
		return &cliError{code: "MISSING_REQUIRED_FLAG", exit: exitUsage, msg: "name samples, or --all-stale for every stale one", details: map[string]any{"required_flags": []string{"--all-stale", "<ids>"}}}
	case f.limit != 0 && !f.allStale:
		return usagef("--limit is for --all-stale")
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	store, err := a.openStore(ctx, openOptions{sync: true})
	if err != nil {
		return err
	}
	defer store.Close()
	join, err := joinColumns(ctx, store, key)
	if err != nil {
		return err
	}
	var samples [][]string
	if f.allStale {
		samples, err = staleSamples(ctx, store, key, opts, join, f.limit)
	} else {
		samples, err = parseSamples(ids, join)
	}
	if err != nil {
		return err
	}
	var found []why.Sample
	for chunk := range slices.Chunk(samples, whyChunk) {
		list, err := store.Why(ctx, key, chunk, opts)
		if err != nil {
			return err
		}
		found = append(found, list...)
	}
	if err := a.printWhy(key, join, found); err != nil {
		return err
	}
	return absentSamples(key, join, found)
}

// joinColumns are the columns that the samples of a feature are known by.
func joinColumns(ctx context.Context, store *metaxy.DeltaStore, key feature.Key) ([]string, error) {
	g, err := store.Graph(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := g.Get(key); !ok {
		_, err := store.Why(ctx, key, nil, nil) // says what is near
		return nil, err
	}
	plan, err := g.Plan(key)
	if err != nil {
		return nil, err
	}
	return plan.JoinColumns(), nil
}

// parseSamples reads IDs: values of the join columns in their order, or
// column=value pairs, of which other columns are left out.
func parseSamples(ids, join []string) ([][]string, error) {
	var out [][]string
	for _, id := range ids {
		values := make([]string, len(join))
		parts, named := strings.Split(id, ","), 0
		if len(join) == 1 && !strings.HasPrefix(id, join[0]+"=") && !slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, join[0]+"=") }) {
			out = append(out, []string{id})
			continue
		}
		for _, p := range parts {
			name, value, ok := strings.Cut(p, "=")
			if at := slices.Index(join, name); ok && at >= 0 {
				values[at], named = value, named+1
			}
		}
		switch {
		case named == len(join):
		case named == 0 && len(parts) == len(join):
			values = parts
		default:
			return nil, usagef("sample %q: want %s=VALUE", id, strings.Join(join, "=VALUE,"))
		}
		out = append(out, values)
	}
	return out, nil
}

// staleSamples are the stale samples, each once, up to a limit.
func staleSamples(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, opts *metaxy.ResolveOptions, join []string, limit int) ([][]string, error) {
	inc, err := store.ResolveUpdate(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	defer inc.Close()
	var out [][]string
	seen := map[string]bool{}
	for b, err := range inc.Stale(ctx).Batches {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			values := make([]string, len(join))
			for n, c := range join {
				values[n] = strings.Clone(b.Column(b.Schema().FieldIndices(c)[0]).ValueStr(i))
			}
			if id := strings.Join(values, "\x00"); !seen[id] {
				seen[id] = true
				out = append(out, values)
			}
			if limit > 0 && len(out) == limit {
				return out, nil
			}
		}
	}
	return out, nil
}

// sampleName is a sample as people name it.
func sampleName(join []string, s *why.Sample) string {
	parts := make([]string, len(join))
	for i, c := range join {
		parts[i] = c + "=" + s.Key[i]
	}
	return strings.Join(parts, ",")
}

// absentSamples is the error for samples of which nothing is there.
func absentSamples(key feature.Key, join []string, list []why.Sample) error {
	var absent []string
	for i := range list {
		if list[i].State == why.StateAbsent {
			absent = append(absent, sampleName(join, &list[i]))
		}
	}
	if len(absent) == 0 {
		return nil
	}
	return &cliError{code: "SAMPLE_NOT_FOUND", exit: exitNotFound, msg: fmt.Sprintf("%s has no such sample, stored or upstream: %s", key, strings.Join(absent, "; ")),
		hint: "`metaxy-delta read " + key.String() + " --limit 3` shows how its ids look", details: map[string]any{"samples": absent}}
}

const stampForm = "2006-01-02 15:04:05.000000"

func stampText(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(stampForm)
	return &s
}

func whyOf(key feature.Key, join []string, s *why.Sample) whyJSON {
	out := whyJSON{Feature: key.String(), ID: map[string]string{}, State: string(s.State), Stored: stampText(s.Stored), Reason: s.Reason(), Causes: []causeJSON{}, Unknown: s.Unknown}
	for i, c := range join {
		out.ID[c] = s.Key[i]
	}
	for i := range s.Causes {
		c := &s.Causes[i]
		j := causeJSON{string(c.Change), c.Field, c.Parent, c.ParentField, c.Member, c.Old, c.New, stampText(c.Since), nil, c.Note}
		if c.Commit >= 0 {
			j.Commit = &c.Commit
		}
		out.Causes = append(out.Causes, j)
	}
	return out
}

func (a *app) printWhy(key feature.Key, join []string, list []why.Sample) error {
	out := make([]whyJSON, len(list))
	for i := range list {
		out[i] = whyOf(key, join, &list[i])
	}
	if a.forPrograms() {
		return a.printList(map[string]any{"feature": key.String(), "samples": out}, out)
	}
	var b strings.Builder
	for i := range list {
		s := &list[i]
		fmt.Fprintf(&b, "%s %s: %s", key, sampleName(join, s), strings.ReplaceAll(string(s.State), "_", " "))
		if t := stampText(s.Stored); t != nil {
			b.WriteString(" (stored " + *t + ")")
		}
		b.WriteByte('\n')
		for n := range s.Causes {
			b.WriteString("  " + causeText(&s.Causes[n]) + "\n")
		}
		if s.Unknown != "" {
			b.WriteString("  unknown: " + s.Unknown + "\n")
		}
	}
	return a.printText(terminal.Printable(b.String()))
}

// causeText is a cause on one line.
func causeText(c *why.Cause) string {
	var b strings.Builder
	if c.Field != "" {
		b.WriteString(c.Field + ": ")
	}
	name := c.Parent
	if c.ParentField != "" {
		name += "." + c.ParentField
	}
	if c.Member != "" {
		name += " [" + c.Member + "]"
	}
	old, now := "-", "-"
	if c.Old != nil {
		old = *c.Old
	}
	if c.New != nil {
		now = *c.New
	}
	switch c.Change {
	case why.ChangeChanged:
		fmt.Fprintf(&b, "%s %s -> %s", name, old, now)
	case why.ChangeCame, why.ChangeWent:
		b.WriteString(name + " " + string(c.Change))
		if c.Note != "" {
			b.WriteString(", " + c.Note)
		}
	case why.ChangeDefined:
		b.WriteString(cmp.Or(c.Note, name))
		if c.Old != nil || c.New != nil {
			fmt.Fprintf(&b, " %s -> %s", old, now)
		}
	default:
		b.WriteString(c.Note)
	}
	if t := stampText(c.Since); t != nil {
		b.WriteString(", since " + *t)
	}
	if c.Commit >= 0 {
		fmt.Fprintf(&b, " by commit %d", c.Commit)
	}
	return b.String()
}

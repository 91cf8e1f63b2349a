package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// demoSpecs are the features of the demo: a root with two fields and a feature made from one of them.
var demoSpecs = [...]string{
	`{"key": "video/raw", "id_columns": ["video_id"], "fields": [{"key": "audio", "code_version": "1"}, {"key": "frames", "code_version": "1"}]}`,
	`{"key": "video/transcript", "id_columns": ["video_id"], "deps": [{"feature": "video/raw"}],
	  "fields": [{"key": "text", "code_version": "1", "deps": [{"feature": "video/raw", "fields": ["audio"]}]}]}`,
}

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{Use: "demo [DIR]", Short: "Make a small store and resolve it before and after a change", Args: cobra.MaximumNArgs(1), Annotations: textOnly,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.flags.dryRun {
				return usagef("the demo makes a store of its own and changes nothing else: it has no dry run")
			}
			dir := filepath.Join(os.TempDir(), "metaxy-delta-demo")
			if len(args) == 1 {
				dir = args[0]
			} else if err := os.RemoveAll(dir); err != nil {
				return err
			}
			if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
				return usagef("%s is not empty: the demo makes a new store", dir)
			}
			if a.flags.output == "" || a.flags.output == "-" {
				return a.demo(cmd.Context(), dir, tellTo(a.sys.stdout))
			}
			var b strings.Builder
			if err := a.demo(cmd.Context(), dir, tellTo(&b)); err != nil {
				return err
			}
			return a.printText(b.String())
		}}
}

// teller writes lines.
type teller func(format string, args ...any)

func tellTo(w io.Writer) teller {
	return func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
}

func demoGraph() (*feature.Graph, error) {
	g := feature.NewGraph(8)
	for _, text := range demoSpecs {
		d, err := feature.Load(feature.Stored{Project: "demo", FeatureSpec: text, FeatureSchema: "{}"})
		if err != nil {
			return nil, err
		}
		if err := g.Add(d); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (a *app) demo(ctx context.Context, dir string, tell teller) error {
	g, err := demoGraph()
	if err != nil {
		return err
	}
	store, err := metaxy.Open(ctx, dir, &metaxy.Options{Project: "demo", EngineInfo: engineInfo(), Now: a.now})
	if err != nil {
		return err
	}
	defer store.Close()
	tell("A store in %s", dir)
	push, err := store.Push(ctx, &metaxy.PushOptions{Graph: g})
	if err != nil {
		return err
	}
	tell("pushed the definitions of project demo: version %s", push.ProjectVersion)
	raw, transcript := g.Definitions()[0].Spec.Key, g.Definitions()[1].Spec.Key
	if err := demoWrite(ctx, tell, store, raw, [][3]string{{"v1", "a1", "f1"}, {"v2", "a2", "f2"}, {"v3", "a3", "f3"}, {"v4", "a4", "f4"}}); err != nil {
		return err
	}
	if err := demoResolve(ctx, tell, store, transcript, true); err != nil {
		return err
	}
	tell("\nNow v2 gets another sound, v3 other frames (which no transcript depends on), v5 comes and v4 goes:")
	if err := demoWrite(ctx, tell, store, raw, [][3]string{{"v2", "a2-new", "f2"}, {"v3", "a3", "f3-new"}, {"v5", "a5", "f5"}}); err != nil {
		return err
	}
	filters, err := parseFilters("--filter", []string{"video_id = 'v4'"})
	if err != nil {
		return err
	}
	if _, err := store.Delete(ctx, raw, &metaxy.DeleteOptions{Filters: filters}); err != nil {
		return err
	}
	if err := demoResolve(ctx, tell, store, transcript, false); err != nil {
		return err
	}
	tell("\nNext:\n  metaxy-delta resolve video/transcript --store %[1]s --out %[1]s-increment\n  metaxy-delta read video/raw --store %[1]s\n  metaxy-delta table history %[1]s/video/raw.delta\n  metaxy-delta --help", dir)
	return nil
}

// demoWrite writes rows of id, audio version, frames version.
func demoWrite(ctx context.Context, tell teller, store *metaxy.DeltaStore, key feature.Key, rows [][3]string) error {
	text := arrow.BinaryTypes.String
	versions := arrow.StructOf(arrow.Field{Name: "audio", Type: text, Nullable: true}, arrow.Field{Name: "frames", Type: text, Nullable: true})
	schema := arrow.NewSchema([]arrow.Field{{Name: "video_id", Type: text, Nullable: true}, {Name: "metaxy_provenance_by_field", Type: versions, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	var ids []string
	for _, r := range rows {
		b.Field(0).(*array.StringBuilder).Append(r[0])
		st := b.Field(1).(*array.StructBuilder)
		st.Append(true)
		st.FieldBuilder(0).(*array.StringBuilder).Append(r[1])
		st.FieldBuilder(1).(*array.StringBuilder).Append(r[2])
		ids = append(ids, r[0])
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	w, err := store.Write(ctx, key, &metaxy.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(batch, nil) }}, nil)
	if err != nil {
		return err
	}
	tell("wrote %d samples of %s (%s), table version %d", w.Rows, key, strings.Join(ids, ", "), w.TableVersion)
	return nil
}

// demoResolve shows an increment by its ids and, when write is set, writes what is new.
func demoResolve(ctx context.Context, tell teller, store *metaxy.DeltaStore, key feature.Key, write bool) error {
	inc, err := store.ResolveUpdate(ctx, key, nil)
	if err != nil {
		return err
	}
	defer inc.Close()
	ids := map[metaxy.Part][]string{}
	for pb, err := range inc.All(ctx) {
		if err != nil {
			return err
		}
		col := pb.Batch.Column(0)
		for i := range col.Len() {
			ids[pb.Part] = append(ids[pb.Part], col.ValueStr(i))
		}
	}
	for p, name := range partNames {
		tell("  %-8s %d  %s", name, len(ids[metaxy.Part(p)]), strings.Join(ids[metaxy.Part(p)], ", "))
	}
	if !write {
		return nil
	}
	w, err := store.Write(ctx, key, inc.New(ctx), nil)
	if err != nil {
		return err
	}
	tell("wrote the %d new samples of %s", w.Rows, key)
	return nil
}

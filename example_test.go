package metaxy_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// The definitions of the examples: videos, and transcripts that are made from their sound.
const mediaDefinitions = `
project: media
features:
- key: video
  id_columns: [id]
  fields: [audio, frames]
- key: transcript
  id_columns: [id]
  deps: [video]
  fields:
  - {key: text, code_version: "1", deps: [{feature: video, fields: [audio]}]}
`

// A store with two features: what a job that makes transcripts does from the first push to the second run.
func Example() {
	ctx := context.Background()
	definitions, err := config.Definitions("media.yaml", []byte(mediaDefinitions), "")
	if err != nil {
		log.Fatal(err)
	}
	graph := feature.NewGraph(8)
	for _, d := range definitions {
		if err := graph.Add(d); err != nil {
			log.Fatal(err)
		}
	}
	store, err := metaxy.Open(ctx, "mem://media", &metaxy.Options{Graph: graph})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Push(ctx, nil); err != nil {
		log.Fatal(err)
	}

	// Whoever brings the videos says what their parts are the versions of.
	written, err := store.Write(ctx, key("video"), videos("v1 sound1 frames1", "v2 sound2 frames2"), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(written.Rows, "videos")

	// The job asks what there is to do, does it, and writes the rows back with their provenance.
	for range 2 {
		inc, err := store.ResolveUpdate(ctx, key("transcript"), nil)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := store.Write(ctx, key("transcript"), inc.New(ctx), nil); err != nil {
			log.Fatal(err)
		}
		fmt.Println(inc.Stats().New, "new transcripts")
	}

	// New sound makes a transcript stale; new frames do not.
	if _, err := store.Write(ctx, key("video"), videos("v1 sound1 frames1-new", "v2 sound2-new frames2"), nil); err != nil {
		log.Fatal(err)
	}
	inc, err := store.ResolveUpdate(ctx, key("transcript"), nil)
	if err != nil {
		log.Fatal(err)
	}
	show(inc.Stale(ctx), "id")
	// Output:
	// 2 videos
	// 2 new transcripts
	// 0 new transcripts
	// id=v2
}

// key reads a key that the program knows to be right.
func key(s string) feature.Key { return must(feature.ParseKey(s)) }

// must is for examples: a program handles its errors.
func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// graphFrom reads definitions of a YAML file.
func graphFrom(yaml string) *feature.Graph {
	graph := feature.NewGraph(8)
	for _, d := range must(config.Definitions("definitions.yaml", []byte(yaml), "media")) {
		if err := graph.Add(d); err != nil {
			log.Fatal(err)
		}
	}
	return graph
}

// ticking is a clock that moves on by a second at every look, so that what the examples print is always the same.
func ticking() func() time.Time {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Second); return now }
}

// openMedia opens an empty store with the definitions of the examples.
func openMedia(ctx context.Context) *metaxy.DeltaStore {
	return must(metaxy.Open(ctx, "mem://media", &metaxy.Options{Name: "media", Graph: graphFrom(mediaDefinitions), Project: "media", Now: ticking()}))
}

// filled is openMedia with two videos and a transcript of the first.
func filled(ctx context.Context) *metaxy.DeltaStore {
	store := openMedia(ctx)
	must(store.Write(ctx, key("video"), videos("v1 sound1 frames1"), nil))
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	must(store.Write(ctx, key("transcript"), inc.New(ctx), nil))
	must(store.Write(ctx, key("video"), videos("v2 sound2 frames2"), nil))
	return store
}

// videos makes rows of "id audio-version frames-version".
func videos(texts ...string) *metaxy.Rows {
	batch := videoBatch(texts...)
	return &metaxy.Rows{Schema: batch.Schema(), Batches: func(yield func(arrow.RecordBatch, error) bool) {
		defer batch.Release()
		yield(batch, nil)
	}}
}

func videoBatch(texts ...string) arrow.RecordBatch {
	versions := arrow.StructOf(arrow.Field{Name: "audio", Type: arrow.BinaryTypes.String}, arrow.Field{Name: "frames", Type: arrow.BinaryTypes.String})
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "metaxy_provenance_by_field", Type: versions}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, text := range texts {
		parts := strings.Fields(text)
		b.Field(0).(*array.StringBuilder).Append(parts[0])
		members := b.Field(1).(*array.StructBuilder)
		members.Append(true)
		members.FieldBuilder(0).(*array.StringBuilder).Append(parts[1])
		members.FieldBuilder(1).(*array.StringBuilder).Append(parts[2])
	}
	return b.NewRecordBatch()
}

// show prints columns of rows, in the order of the texts, for rows are in none.
func show(rows *metaxy.Rows, columns ...string) {
	var lines []string
	for batch, err := range rows.Batches {
		if err != nil {
			log.Fatal(err)
		}
		for i := range int(batch.NumRows()) {
			var cells []string
			for _, c := range columns {
				cells = append(cells, c+"="+batch.Column(batch.Schema().FieldIndices(c)[0]).ValueStr(i))
			}
			lines = append(lines, strings.Join(cells, " "))
		}
	}
	slices.Sort(lines)
	for _, l := range lines {
		fmt.Println(l)
	}
}

// where is a filter of Metaxy's language.
func only(text string) []filter.Expr { return []filter.Expr{must(filter.Parse(text))} }

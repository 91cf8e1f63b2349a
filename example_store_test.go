package metaxy_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/apache/arrow-go/v18/arrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

func ExampleOpen() {
	ctx := context.Background()
	store, err := metaxy.Open(ctx, "/data/metadata", &metaxy.Options{Layout: metaxy.LayoutFlat, Project: "media"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store.TableURL(key("video/raw")))
	_, err = metaxy.Open(ctx, "/data/metadata", &metaxy.Options{Layout: "round", HashTruncation: 4})
	fmt.Println(err)
	// Output:
	// /data/metadata/video__raw.delta
	// invalid argument: layout "round": want nested or flat
	// invalid argument: hash truncation length 4: at least 8
}

func ExampleOpen_readOnly() {
	ctx := context.Background()
	store := must(metaxy.Open(ctx, "/data/metadata", &metaxy.Options{Graph: graphFrom(mediaDefinitions), ReadOnly: true}))
	_, err := store.Write(ctx, key("video"), videos("v1 sound1 frames1"), nil)
	fmt.Println(errors.Is(err, fs.ErrPermission))
	fmt.Println(err)
	// Output:
	// true
	// permission denied: store /data/metadata is opened for reading only
}

func ExampleOpenConfig() {
	ctx := context.Background()
	file := `
project = "media"
store = "dev"
[stores.dev]
type = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"
config = {root_path = "/data/dev", fallback_stores = ["prod"]}
[stores.prod]
type = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"
config.root_path = "/data/prod"
`
	cfg, err := config.Load(&config.Source{Explicit: "metaxy.toml", ReadFile: func(string) ([]byte, error) { return []byte(file), nil }})
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := metaxy.OpenConfig(ctx, cfg, "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store.Name(), store.URL(), store.Fallbacks()[0].Name)
	_, err = metaxy.OpenConfig(ctx, cfg, "prd", nil)
	fmt.Println(err)
	// Output:
	// dev /data/dev prod
	// metaxy.toml:4: stores.prd: there is no such store; did you mean prod? configured are dev, prod
}

func ExampleOpenStorage() {
	ctx := context.Background()
	objects := must(metaxy.OpenStorage(ctx, "mem://bucket", nil))
	defer objects.Close()
	if err := objects.PutIfAbsent(ctx, "notes/readme.txt", []byte("hello")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(string(must(objects.ReadAll(ctx, "notes/readme.txt", 1024))))
	// Output: hello
}

func ExampleOptions_Validate() {
	fmt.Println((&metaxy.Options{MemoryLimit: 512 << 20, SpillDir: os.TempDir()}).Validate())
	fmt.Println((&metaxy.Options{MemoryLimit: -1, Engine: metaxy.EngineNative}).Validate())
	// Output:
	// <nil>
	// invalid argument: Delta stores have no native engine: use auto or in-process
	// invalid argument: memory limit -1 is negative
}

func ExampleDeltaStore_Write() {
	ctx := context.Background()
	store := openMedia(ctx)
	res, err := store.Write(ctx, key("video"), videos("v1 sound1 frames1", "v2 sound2 frames2"), nil)
	fmt.Println(res.Rows, res.Files, res.TableVersion, err)

	// Rows without their ids are refused before anything is stored.
	noIDs := arrow.NewSchema([]arrow.Field{{Name: "metaxy_provenance_by_field", Type: arrow.StructOf(arrow.Field{Name: "audio", Type: arrow.BinaryTypes.String})}}, nil)
	_, err = store.Write(ctx, key("video"), &metaxy.Rows{Schema: noIDs, Batches: func(func(arrow.RecordBatch, error) bool) {}}, nil)
	fmt.Println(err)
	// Output:
	// 2 1 0 <nil>
	// video: column id: id column is missing
}

// A dry run does everything but store.
func ExampleDeltaStore_Write_dryRun() {
	ctx := context.Background()
	store := openMedia(ctx)
	res, err := store.Write(ctx, key("video"), videos("v1 sound1 frames1"), &metaxy.WriteOptions{DryRun: true})
	has := must(store.HasFeature(ctx, key("video"), nil))
	fmt.Println(res.Rows, res.Files, res.Bytes > 0, err, has)
	// Output: 1 1 true <nil> false
}

// A write that names what was resolved leaves out what another worker has stored since.
func ExampleDeltaStore_Write_resolved() {
	ctx := context.Background()
	store := filled(ctx)
	mine, theirs := must(store.ResolveUpdate(ctx, key("transcript"), nil)), must(store.ResolveUpdate(ctx, key("transcript"), nil))
	must(store.Write(ctx, key("transcript"), theirs.New(ctx), nil))
	res, err := store.Write(ctx, key("transcript"), mine.New(ctx), &metaxy.WriteOptions{Resolved: &metaxy.Resolved{TableVersion: mine.TableVersion, Drop: true}})
	fmt.Println(res.Rows, "stored,", res.Dropped, "were there already", err)
	// Output: 0 stored, 1 were there already <nil>
}

// A job that may run twice stores its rows once.
func ExampleDeltaStore_Write_repeated() {
	ctx := context.Background()
	store := openMedia(ctx)
	for range 2 {
		res, err := store.Write(ctx, key("video"), videos("v1 sound1 frames1"), &metaxy.WriteOptions{AppID: "nightly-2026-01-01", AppVersion: 1})
		fmt.Println(res.Rows, res.AlreadyWritten, err)
	}
	// Output:
	// 1 false <nil>
	// 0 true <nil>
}

func ExampleDeltaStore_WriteMulti() {
	ctx := context.Background()
	store := filled(ctx)
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	results, err := store.WriteMulti(ctx, map[feature.Key]*metaxy.Rows{key("video"): videos("v3 sound3 frames3"), key("transcript"): inc.New(ctx)}, nil)
	for _, r := range results { // dependents first: an interruption leaves work to redo
		fmt.Println(r.Feature, r.Rows)
	}
	fmt.Println(err)
	// Output:
	// transcript 1
	// video 1
	// <nil>
}

func ExampleDeltaStore_AllowCrossProjectWrites() {
	ctx := context.Background()
	store := must(metaxy.Open(ctx, "mem://", &metaxy.Options{Graph: graphFrom(mediaDefinitions), Project: "search"}))
	_, err := store.Write(ctx, key("video"), videos("v1 sound1 frames1"), nil)
	fmt.Println(errors.Is(err, metaxy.ErrProjectMismatch))
	_, err = store.AllowCrossProjectWrites().Write(ctx, key("video"), videos("v1 sound1 frames1"), nil)
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

func ExampleDeltaStore_Read() {
	ctx := context.Background()
	store := filled(ctx)
	rows, err := store.Read(ctx, key("video"), &metaxy.ReadOptions{Columns: []string{"id", "metaxy_provenance"}, Filters: only("id != 'v9'")})
	if err != nil {
		fmt.Println(err)
		return
	}
	show(rows, "id", "metaxy_provenance")
	fmt.Println("from", rows.Source.Store, "at version", rows.Source.TableVersion)
	// Output:
	// id=v1 metaxy_provenance=40775638
	// id=v2 metaxy_provenance=40364970
	// from media at version 1
}

func ExampleDeltaStore_Delete() {
	ctx := context.Background()
	store := filled(ctx)
	res, err := store.Delete(ctx, key("video"), &metaxy.DeleteOptions{Filters: only("id = 'v1'")})
	fmt.Println(res.Rows, "hidden", err)
	show(must(store.Read(ctx, key("video"), nil)), "id")
	res, err = store.Delete(ctx, key("video"), &metaxy.DeleteOptions{Filters: only("id = 'v1'"), Hard: true})
	fmt.Println(res.Rows, "removed", err) // the row and its tombstone
	// Output:
	// 1 hidden <nil>
	// id=v2
	// 2 removed <nil>
}

func ExampleDeltaStore_Drop() {
	ctx := context.Background()
	store := filled(ctx)
	res, err := store.Drop(ctx, key("video"), nil)
	fmt.Println(res.Rows, err, must(store.HasFeature(ctx, key("video"), nil)))
	// Output: 2 <nil> true
}

func ExampleDeltaStore_HasFeature() {
	ctx := context.Background()
	front := must(metaxy.Open(ctx, "mem://front", &metaxy.Options{Graph: graphFrom(mediaDefinitions), Fallbacks: []metaxy.Fallback{{Name: "media", Store: filled(ctx)}}}))
	fmt.Println(must(front.HasFeature(ctx, key("video"), nil)), must(front.HasFeature(ctx, key("video"), &metaxy.HasOptions{CheckFallback: true})))
	// Output: false true
}

func ExampleDeltaStore_Fallbacks() {
	ctx := context.Background()
	front := must(metaxy.Open(ctx, "mem://front", &metaxy.Options{Graph: graphFrom(mediaDefinitions), Fallbacks: []metaxy.Fallback{{Name: "media", Store: filled(ctx)}}}))
	fmt.Println(front.Fallbacks()[0].Name)
	rows := must(front.Read(ctx, key("video"), nil))
	fmt.Println(rows.Source.Store, rows.Source.Fallback, rows.Warnings[0].Code)
	// Output:
	// media
	// media true FALLBACK_USED
}

func ExampleDeltaStore_Copy() {
	ctx := context.Background()
	from, to := filled(ctx), openMedia(ctx)
	res, err := to.Copy(ctx, from, &metaxy.CopyOptions{Features: []feature.Key{key("video")}, Filters: map[feature.Key][]filter.Expr{key("video"): only("id = 'v2'")}})
	fmt.Println(res.Features, res.Rows, err)
	show(must(to.Read(ctx, key("video"), nil)), "id")
	// Output:
	// 1 1 <nil>
	// id=v2
}

func ExampleDeltaStore_Status() {
	ctx := context.Background()
	store := filled(ctx)
	st, err := store.Status(ctx, key("transcript"), &metaxy.StatusOptions{Progress: true})
	fmt.Println(st.State, st.Rows, "stored,", st.New, "new,", *st.Progress, "% of the input processed", err)
	// Output: needs_update 1 stored, 1 new, 50 % of the input processed <nil>
}

func ExampleStatus_NeedsUpdate() {
	ctx := context.Background()
	store := filled(ctx)
	for _, name := range []string{"video", "transcript"} {
		st := must(store.Status(ctx, key(name), nil))
		fmt.Println(name, st.State, st.NeedsUpdate())
	}
	// Output:
	// video root_feature false
	// transcript needs_update true
}

func ExampleDeltaStore_Close() {
	ctx := context.Background()
	store := openMedia(ctx)
	fmt.Println(store.Close())
	_, err := store.Read(ctx, key("video"), nil)
	fmt.Println(errors.Is(err, metaxy.ErrClosed))
	// Output:
	// <nil>
	// true
}

func ExampleDeltaStore_Name() {
	ctx := context.Background()
	named := must(metaxy.Open(ctx, "/data/metadata", &metaxy.Options{Name: "prod"}))
	fmt.Println(named.Name())
	fmt.Println(must(metaxy.Open(ctx, "/data/metadata", nil)).Name())
	// Output:
	// prod
	// /data/metadata
}

func ExampleDeltaStore_URL() {
	fmt.Println(must(metaxy.Open(context.Background(), "file:///data/metadata", nil)).URL())
	// Output: /data/metadata
}

func ExampleDeltaStore_String() {
	fmt.Println(must(metaxy.Open(context.Background(), "/data/metadata", nil)))
	// Output: DeltaMetadataStore(path=/data/metadata)
}

func ExampleDeltaStore_TableURL() {
	fmt.Println(must(metaxy.Open(context.Background(), "/data/metadata", nil)).TableURL(key("video/raw")))
	// Output: /data/metadata/video/raw.delta
}

func ExampleDeltaStore_Table() {
	ctx := context.Background()
	store := filled(ctx)
	snap := must(store.Table(key("video")).Snapshot(ctx))
	fmt.Println("version", snap.Version())
	// Output: version 1
}

func ExampleDeltaStore_FailedTable() {
	ctx := context.Background()
	store := filled(ctx)
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	must(store.WriteFailed(ctx, key("transcript"), inc.New(ctx)))
	snap := must(store.FailedTable(key("transcript")).Snapshot(ctx))
	fmt.Println("version", snap.Version())
	// Output: version 0
}

func ExampleDeltaStore_ColumnTypes() {
	ctx := context.Background()
	store := filled(ctx)
	types := must(store.ColumnTypes(ctx, key("transcript")))
	fmt.Println(types["id"], types["metaxy_provenance"], types["metaxy_provenance_by_field"])
	// Output: utf8 utf8 struct<text: utf8 nullable>
}

func ExampleDeltaStore_Examine() {
	ctx := context.Background()
	store := filled(ctx)
	must(store.Write(ctx, key("video"), videos("v3 sound|3 frames3"), nil))
	for _, w := range must(store.Examine(ctx, key("video"), nil)) {
		fmt.Println(w.Code)
	}
	// Output: VERSION_SEPARATOR
}

func ExampleDeltaStore_Storage() {
	ctx := context.Background()
	store := filled(ctx)
	commit := must(store.Storage().Stat(ctx, "video.delta/_delta_log/00000000000000000001.json"))
	fmt.Println(commit.Key, commit.Size > 0)
	// Output: video.delta/_delta_log/00000000000000000001.json true
}

package metaxy_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// improved is a second version of the examples' definitions: another program makes the transcripts.
var improved = strings.Replace(mediaDefinitions, `code_version: "1"`, `code_version: "2"`, 1)

func ExampleDeltaStore_Push() {
	ctx := context.Background()
	store := openMedia(ctx)
	for _, definitions := range []string{mediaDefinitions, mediaDefinitions, improved} {
		pushed, err := store.Push(ctx, &metaxy.PushOptions{Graph: graphFrom(definitions), Tags: map[string]string{"git_commit": "3f2a91c"}})
		fmt.Println(pushed.ProjectVersion, "recorded:", pushed.Recorded, "rows:", pushed.Rows, err)
	}
	// Output:
	// 3261b1db recorded: true rows: 2 <nil>
	// 3261b1db recorded: false rows: 0 <nil>
	// 340d24de recorded: true rows: 2 <nil>
}

func ExampleDeltaStore_History() {
	ctx := context.Background()
	store := openMedia(ctx)
	must(store.Push(ctx, nil))
	must(store.Push(ctx, &metaxy.PushOptions{Graph: graphFrom(improved)}))
	for _, h := range must(store.History(ctx, "media")) { // newest first
		fmt.Println(h.ProjectVersion, h.RecordedAt.Format(time.DateOnly), h.Features, "features")
	}
	// Output:
	// 340d24de 2026-01-01 2 features
	// 3261b1db 2026-01-01 2 features
}

// Without definitions of its own, a store works with those that were pushed.
func ExampleDeltaStore_Graph() {
	ctx := context.Background()
	store := must(metaxy.Open(ctx, "mem://", &metaxy.Options{Project: "media"}))
	must(store.Push(ctx, &metaxy.PushOptions{Graph: graphFrom(mediaDefinitions)}))
	graph := must(store.Graph(ctx))
	for _, d := range graph.Definitions() {
		fmt.Println(d.Spec.Key, must(graph.FeatureVersion(d.Spec.Key)))
	}
	// Output:
	// video 28b8374e
	// transcript 44553f6a
}

func ExampleDeltaStore_GraphWarnings() {
	ctx := context.Background()
	store := must(metaxy.Open(ctx, "mem://", &metaxy.Options{Project: "media"}))
	must(store.Push(ctx, &metaxy.PushOptions{Graph: graphFrom(mediaDefinitions)}))
	other := graphFrom(strings.Replace(mediaDefinitions, "project: media", "project: archive", 1))
	must(store.Push(ctx, &metaxy.PushOptions{Graph: other, Project: "archive"}))
	for _, w := range must(store.GraphWarnings(ctx)) {
		fmt.Println(w.Code)
	}
	// Output:
	// KEY_IN_TWO_PROJECTS
	// KEY_IN_TWO_PROJECTS
}

// Another program may push; Reload looks again.
func ExampleDeltaStore_Reload() {
	ctx := context.Background()
	store := must(metaxy.Open(ctx, "mem://", &metaxy.Options{Project: "media"}))
	fmt.Println(len(must(store.Graph(ctx)).Definitions()))
	must(store.Push(ctx, &metaxy.PushOptions{Graph: graphFrom(mediaDefinitions)}))
	store.Reload()
	fmt.Println(len(must(store.Graph(ctx)).Definitions()))
	// Output:
	// 0
	// 2
}

func ExampleDeltaStore_SnapshotGraph() {
	ctx := context.Background()
	store := openMedia(ctx)
	first := must(store.Push(ctx, nil))
	must(store.Push(ctx, &metaxy.PushOptions{Graph: graphFrom(improved)}))
	old := must(store.SnapshotGraph(ctx, first.ProjectVersion, "media"))
	for _, d := range must(feature.Diff(old, graphFrom(improved), nil)) {
		fmt.Println(d.Key, d.Change)
	}
	// Output:
	// transcript changed
	// video unchanged
}

func ExampleDeltaStore_ProjectVersion() {
	ctx := context.Background()
	fmt.Println(must(openMedia(ctx).ProjectVersion(ctx)))
	// Output: 3261b1db
}

// searchDefinitions are of a project that depends on one that is developed elsewhere.
const searchDefinitions = `
project: search
features:
- key: document
  id_columns: [id]
  deps: [transcript]
`

// searching is a store of the project search, which knows the transcript only as an external feature. The store has the media definitions.
func searching(ctx context.Context) *metaxy.DeltaStore {
	graph := graphFrom(searchDefinitions)
	external := &feature.Definition{Project: "media", External: true, Spec: &feature.Spec{
		Key: key("transcript"), IDColumns: []string{"id"}, Fields: []feature.Field{{Key: must(feature.ParseFieldKey("text")), CodeVersion: "0"}},
	}}
	if err := graph.Add(external); err != nil {
		fmt.Println(err)
	}
	store := must(metaxy.Open(ctx, "mem://", &metaxy.Options{Graph: graph, Project: "search"}))
	must(store.Push(ctx, &metaxy.PushOptions{Graph: graphFrom(mediaDefinitions), Project: "media"}))
	return store
}

func ExampleDeltaStore_Sync() {
	ctx := context.Background()
	store := searching(ctx)
	_, err := store.Read(ctx, key("video"), nil)
	fmt.Println(err)
	for _, w := range must(store.Sync(ctx, nil)) {
		fmt.Println(w.Code) // the code version that was assumed is not the one that the store has
	}
	transcript, _ := must(store.Graph(ctx)).Get(key("transcript"))
	fmt.Println(transcript.External, transcript.Spec.Fields[0].CodeVersion)
	_, err = store.Read(ctx, key("video"), nil)
	fmt.Println(err)
	// Output:
	// feature video is not defined
	// EXTERNAL_VERSION_MISMATCH
	// false 1
	// feature video has no table in this store or its fallback stores
}

// What a lock file is made of.
func ExampleDeltaStore_ExternalFeatures() {
	ctx := context.Background()
	store := searching(ctx)
	graph, external, _, err := store.ExternalFeatures(ctx, &metaxy.SyncOptions{ExceptProject: "search"})
	fmt.Println(external, err)
	fmt.Println(must(graph.FeatureVersion(key("document"))))
	// Output:
	// [transcript video] <nil>
	// 757b615b
}

// A change of the definitions that changes no results: the stored rows keep what they hold and get the new version's provenance.
func ExampleDeltaStore_Rebase() {
	ctx := context.Background()
	store := filled(ctx)
	must(store.Push(ctx, nil))
	stored := must(store.Read(ctx, key("transcript"), nil))
	must(store.Push(ctx, &metaxy.PushOptions{Graph: graphFrom(improved)}))
	version := must(graphFrom(improved).FeatureVersion(key("transcript")))

	rebased, err := store.Rebase(ctx, key("transcript"), stored, &metaxy.RebaseOptions{ToVersion: version})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := store.Write(ctx, key("transcript"), rebased.Rows, &metaxy.WriteOptions{PreserveVersions: true})
	fmt.Println(res.Rows, rebased.FeatureVersion == version, err)
	// Output: 1 true <nil>
}

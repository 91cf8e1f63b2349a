package metaxy_test

import (
	"context"
	"fmt"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// A gate for a pipeline: what is stored is complete when every verdict is in_sync.
func ExampleDeltaStore_StatusAll() {
	ctx := context.Background()
	store := filled(ctx)
	list, err := store.StatusAll(ctx, []feature.Key{key("video"), key("transcript")}, nil)
	for i := range list {
		st := &list[i]
		fmt.Println(st.Feature, st.Verdict(), st.New, st.Waiting, st.Err)
	}
	fmt.Println(err)
	// Output:
	// video in_sync 0 [] <nil>
	// transcript work 1 [] <nil>
	// <nil>
}

func ExampleStatus_Verdict() {
	ctx := context.Background()
	store := openMedia(ctx)
	st := must(store.Status(ctx, key("video"), nil))
	fmt.Println(st.State, st.Verdict()) // a root has its samples from outside
	// Output: missing waiting
}

func ExampleIncrement_Feature() {
	ctx := context.Background()
	inc := must(filled(ctx).ResolveUpdate(ctx, key("transcript"), nil))
	defer inc.Close()
	fmt.Println(inc.Feature())
	// Output: transcript
}

// What made samples what they are is read off the rows that the tables still have.
func ExampleDeltaStore_Why() {
	ctx := context.Background()
	store := filled(ctx)
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	must(store.Write(ctx, key("transcript"), inc.New(ctx), nil))
	must(store.Write(ctx, key("video"), videos("v2 sound2-new frames2"), nil))
	list, err := store.Why(ctx, key("transcript"), [][]string{{"v2"}, {"v1"}, {"nosuch"}}, nil)
	for _, s := range list {
		fmt.Println(s.Key, s.State)
		for _, c := range s.Causes {
			fmt.Println(" ", c.Field, c.Parent, c.ParentField, *c.Old, "->", *c.New, "commit", c.Commit)
		}
	}
	fmt.Println(err)
	// Output:
	// [v2] stale
	//   text video audio sound2 -> sound2-new commit 2
	// [v1] in_sync
	// [nosuch] absent
	// <nil>
}

func ExampleIncrement_Reasons() {
	ctx := context.Background()
	inc := must(filled(ctx).ResolveUpdate(ctx, key("transcript"), &metaxy.ResolveOptions{Reasons: true}))
	defer inc.Close()
	show(inc.New(ctx), "id", "metaxy_reason")
	fmt.Println(inc.Reasons()[metaxy.New])
	// Output:
	// id=v2 metaxy_reason=video came
	// map[video came:1]
}

func ExampleDeltaStore_Plan() {
	ctx := context.Background()
	store := filled(ctx)
	for _, st := range must(store.Plan(ctx, []feature.Key{key("transcript"), key("video")}, nil)) {
		fmt.Println(st.Feature, st.Verdict(), st.Reasons)
	}
	// Output:
	// video in_sync map[]
	// transcript work map[0:map[video came:1]]
}

func ExampleDeltaStore_Verify() {
	ctx := context.Background()
	store := filled(ctx)
	must(store.Write(ctx, key("transcript"), must(store.ResolveUpdate(ctx, key("transcript"), nil)).New(ctx), nil))
	fmt.Println(store.Verify(ctx, key("transcript"), nil))
	must(store.Delete(ctx, key("video"), &metaxy.DeleteOptions{Filters: only("id = 'v1'")}))
	for _, w := range must(store.Verify(ctx, key("transcript"), nil)) {
		fmt.Println(w.Code)
	}
	// Output:
	// [] <nil>
	// ORPHANED
}

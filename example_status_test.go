package metaxy_test

import (
	"context"
	"fmt"

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

package metaxy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// overtaking lets somebody else commit right before the next commit.
type overtaking struct {
	objstore.Driver
	before func()
}

func (o *overtaking) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if f := o.before; f != nil && strings.Contains(key, "_delta_log/") {
		o.before = nil
		f()
	}
	return o.Driver.PutIfAbsent(ctx, key, body)
}

// TestDeleteOvertaken: what a delete can be undone to is the version before its
// commit, which others may have made after the delete looked at the table.
func TestDeleteOvertaken(t *testing.T) {
	for _, hard := range []bool{false, true} {
		t.Run(fmt.Sprintf("hard %t", hard), func(t *testing.T) {
			l := newLife(t)
			shared := &overtaking{Driver: objstore.NewMem()}
			s, other := l.open(shared), l.open(shared)
			ctx := t.Context()
			for _, st := range l.steps()[:1] { // push
				if err := st.run(ctx, s); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Write(ctx, l.root, versionRows([]string{"a 1", "b 1"}), nil); err != nil {
				t.Fatal(err)
			}
			shared.before = func() {
				if _, err := other.Write(ctx, l.root, versionRows([]string{"z 1"}), nil); err != nil {
					t.Error(err)
				}
			}
			e, err := filter.Parse("id = 'a'")
			if err != nil {
				t.Fatal(err)
			}
			res, err := s.Delete(ctx, l.root, &metaxy.DeleteOptions{Filters: []filter.Expr{e}, Hard: hard})
			if err != nil {
				t.Fatal(err)
			}
			if shared.before != nil || res.TableVersion != 2 || res.PreviousVersion != 1 {
				t.Errorf("deleted in version %d, to be undone to %d: want 2 and 1, where z is there and a is", res.TableVersion, res.PreviousVersion)
			}
		})
	}
}

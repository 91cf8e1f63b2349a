package txlog_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestModel runs random commits, checkpoints and compactions against a plain map of files for each version.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := txlog.Open(objstore.New(objstore.NewMem()))
		actions := append(first("c0"), &txlog.DomainMetadata{Domain: "d", Configuration: "0"})
		actions[1] = withV2(actions[1].(*txlog.Protocol))
		if err := log.Commit(t.Context(), 0, actions); err != nil {
			t.Fatal(err)
		}
		versions := []map[string]int64{{}} // path -> version that added it
		domain := []string{"0"}
		commit := func(t *rapid.T) {
			v := int64(len(versions))
			files := maps.Clone(versions[v-1])
			actions := []txlog.Action{&txlog.CommitInfo{TxnID: fmt.Sprint("c", v)}}
			used := map[string]bool{}
			for range rapid.IntRange(0, 4).Draw(t, "actions") {
				path := fmt.Sprintf("f%d", rapid.IntRange(0, 9).Draw(t, "file"))
				if used[path] {
					continue
				}
				used[path] = true
				if rapid.Bool().Draw(t, "remove") {
					actions = append(actions, &txlog.Remove{Path: path, DataChange: true})
					delete(files, path)
					continue
				}
				a := add(path)
				a.ModificationTime = v
				actions = append(actions, a)
				files[path] = v
			}
			d := domain[v-1]
			if rapid.Bool().Draw(t, "domain") {
				d = rapid.SampledFrom([]string{"", fmt.Sprint(v)}).Draw(t, "value")
				actions = append(actions, &txlog.DomainMetadata{Domain: "d", Configuration: d, Removed: d == ""})
			}
			if err := log.Commit(t.Context(), v, actions); err != nil {
				t.Fatal(err)
			}
			versions, domain = append(versions, files), append(domain, d)
		}
		check := func(t *rapid.T, v int64) *txlog.State {
			seg, err := log.Segment(t.Context(), v)
			if err != nil {
				t.Fatal(err)
			}
			st, err := seg.Replay(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(st.Skipped) > 0 {
				t.Fatal(st.Skipped)
			}
			got := map[string]int64{}
			for i, f := range st.Files {
				got[f.Key] = f.ModificationTime
				if i > 0 && st.Files[i-1].ModificationTime > f.ModificationTime {
					t.Fatalf("version %d: %s of version %d after one of %d", v, f.Key, f.ModificationTime, st.Files[i-1].ModificationTime)
				}
			}
			if !maps.Equal(got, versions[v]) {
				t.Fatalf("version %d: got %v, want %v", v, got, versions[v])
			}
			if d := st.Domains["d"]; (d != nil) != (domain[v] != "") || d != nil && d.Configuration != domain[v] {
				t.Fatalf("version %d: domain %+v, want %q", v, d, domain[v])
			}
			return st
		}
		version := func(t *rapid.T) int64 { return rapid.Int64Range(0, int64(len(versions)-1)).Draw(t, "version") }
		t.Repeat(map[string]func(*rapid.T){
			"commit":  commit,
			"commit2": commit,
			"checkpoint": func(t *rapid.T) {
				opts := &txlog.CheckpointOptions{V2: rapid.Bool().Draw(t, "v2"), SidecarActions: rapid.IntRange(1, 8).Draw(t, "sidecar")}
				if _, err := log.WriteCheckpoint(t.Context(), check(t, version(t)), opts); err != nil {
					t.Fatal(err)
				}
			},
			"compact": func(t *rapid.T) {
				ends := []int64{version(t), version(t)}
				slices.Sort(ends)
				if ends[0] < ends[1] {
					if err := log.WriteCompaction(t.Context(), ends[0], ends[1]); err != nil && !emptyRange(err) {
						t.Fatal(err)
					}
				}
			},
			"": func(t *rapid.T) { check(t, version(t)) },
		})
	})
}

// emptyRange is a range of commits that leave nothing to keep.
func emptyRange(err error) bool { return strings.Contains(err.Error(), "no action to keep") }

package txlog_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestCheck compares checkpoints, and compactions, with the commits: those that we write agree, and one that tells anything else is named.
func TestCheck(t *testing.T) {
	lies := map[string]struct {
		change func(*txlog.State)
		says   string // "" = nothing is wrong
	}{
		"nothing":       {func(*txlog.State) {}, ""},
		"other order":   {func(s *txlog.State) { s.Files[0], s.Files[1] = s.Files[1], s.Files[0] }, ""},
		"no statistics": {func(s *txlog.State) { s.Files[0].Stats = "" }, ""},
		"a file less":   {func(s *txlog.State) { s.Files = s.Files[1:] }, "lacks f1.parquet"},
		"a file more": {func(s *txlog.State) {
			s.Files = append(s.Files, txlog.LiveFile{Add: add("more.parquet"), Key: "more.parquet"})
		}, "has more.parquet"},
		"another size":  {func(s *txlog.State) { s.Files[0].Size++ }, "by the commits"},
		"another value": {func(s *txlog.State) { v := "x"; s.Files[0].PartitionValues = map[string]*string{"p": &v} }, `p = "x"`},
		"another vector": {func(s *txlog.State) {
			s.Files[0].DeletionVector = &txlog.DeletionVector{StorageType: "i", PathOrInlineDV: "x", SizeInBytes: 1, Cardinality: 1}
		}, "f1.parquet"},
		"another schema": {func(s *txlog.State) {
			m := *s.Metadata
			m.SchemaString += " "
			s.Metadata = &m
		}, "metadata"},
		"a property more": {func(s *txlog.State) { m := *s.Metadata; m.Configuration = map[string]string{"x": "y"}; s.Metadata = &m }, "metadata"},
		"lower protocol":  {func(s *txlog.State) { s.Protocol = &txlog.Protocol{MinReaderVersion: 1, MinWriterVersion: 1} }, "protocol"},
		"older write":     {func(s *txlog.State) { s.Txns = map[string]*txlog.Txn{"app": {AppID: "app", Version: 1}} }, "app"},
		"no domain":       {func(s *txlog.State) { s.Domains = nil }, "domain"},
	}
	for name, c := range lies {
		t.Run(name, func(t *testing.T) {
			log := txlog.Open(objstore.New(objstore.NewMem()))
			commits(t, log, 4)
			if err := log.Commit(t.Context(), 5, []txlog.Action{&txlog.CommitInfo{TxnID: "5"}, &txlog.Txn{AppID: "app", Version: 2}, &txlog.DomainMetadata{Domain: "d", Configuration: "1"}}); err != nil {
				t.Fatal(err)
			}
			sound, err := stateAt(t, log, 2)
			if err == nil {
				_, err = log.WriteCheckpoint(t.Context(), sound, nil)
			}
			if err == nil {
				err = log.WriteCompaction(t.Context(), 3, 4)
			}
			if err != nil {
				t.Fatal(err)
			}
			st, err := stateAt(t, log, 5)
			if err != nil {
				t.Fatal(err)
			}
			st.Domains, st.Txns = maps.Clone(st.Domains), maps.Clone(st.Txns)
			for i := range st.Files {
				a := *st.Files[i].Add
				st.Files[i].Add = &a
			}
			c.change(st)
			if _, err := log.WriteCheckpoint(t.Context(), st, nil); err != nil {
				t.Fatal(err)
			}
			faults, err := log.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			text := ""
			if err := errors.Join(faults...); err != nil {
				text = err.Error()
			}
			if c.says == "" && text != "" || len(faults) > 1 || !strings.Contains(text, c.says) || c.says != "" && !strings.Contains(text, "00000000000000000005.checkpoint.parquet") {
				t.Errorf("faults %q, want one about %q", text, c.says)
			}
		})
	}
}

// TestCheckWithoutCommits: a checkpoint whose commits were cleaned up cannot be compared; one that cannot be read is a fault all the same where the commits are there.
func TestCheckWithoutCommits(t *testing.T) {
	store := objstore.New(objstore.NewMem())
	log := txlog.Open(store)
	commits(t, log, 4)
	st, err := stateAt(t, log, 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.WriteCheckpoint(t.Context(), st, nil); err != nil {
		t.Fatal(err)
	}
	body, err := store.ReadAll(t.Context(), "_delta_log/00000000000000000003.checkpoint.parquet", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	put(t, store, "00000000000000000003.checkpoint.parquet", string(body[:len(body)/2]))
	if faults, err := log.Check(t.Context()); err != nil || len(faults) != 1 || !errors.Is(faults[0], txlog.ErrCorrupt) {
		t.Errorf("half a checkpoint: %v, %v", faults, err)
	}
	put(t, store, "00000000000000000003.checkpoint.parquet", string(body))
	for v := range int64(3) {
		if err := store.Delete(t.Context(), "_delta_log/"+commitName(v)); err != nil {
			t.Fatal(err)
		}
	}
	if faults, err := log.Check(t.Context()); err != nil || len(faults) != 0 {
		t.Errorf("without commits: %v, %v", faults, err)
	}
}

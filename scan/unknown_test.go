package scan_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestUnknownLogicalType: a data file with a logical type that came after this
// build is no damage; the column is named.
func TestUnknownLogicalType(t *testing.T) {
	body, err := os.ReadFile("../internal/rowio/testdata/parquet-testing/unknown-logical-type.parquet")
	if err != nil {
		t.Fatal(err)
	}
	commit := `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"a","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"column with known type\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}]}","partitionColumns":[],"configuration":{},"createdTime":0}}
` + fmt.Sprintf(`{"add":{"path":"p.parquet","partitionValues":{},"size":%d,"modificationTime":0,"dataChange":true}}`, len(body))
	s := objstore.New(objstore.NewMem())
	for key, body := range map[string][]byte{"p.parquet": body, "_delta_log/00000000000000000000.json": []byte(commit)} {
		if err := s.Put(t.Context(), key, bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := delta.New(s, &delta.Options{Now: time.Now}).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range sc.Batches(t.Context()) {
		if err != nil {
			break
		}
	}
	var unsupported *delta.UnsupportedError
	if !errors.As(err, &unsupported) || unsupported.Feature != "column with unknown type" || errors.Is(err, txlog.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

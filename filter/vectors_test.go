package filter_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// TestParseVectors accepts what the reference accepts and rejects what it rejects; results on data are checked by internal/filtereval.
func TestParseVectors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "vectors"), "filters.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct{ Filter, Result string }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range file.Cases {
		e, err := filter.Parse(c.Filter)
		if (err == nil) != (c.Result != "parse_error") {
			t.Errorf("%q: %v, want %s", c.Filter, err, c.Result)
			continue
		}
		if err != nil {
			var pe *filter.ParseError
			if !errors.As(err, &pe) || pe.Offset < 0 || pe.Offset > len(c.Filter) {
				t.Errorf("%q: %#v is no *ParseError with an offset in the text", c.Filter, err)
			}
			continue
		}
		again, err := filter.ParseSQL(e.String())
		if err != nil || again.String() != e.String() {
			t.Errorf("%q: rendered as %s, which reads as %v (%v)", c.Filter, e, again, err)
		}
	}
}

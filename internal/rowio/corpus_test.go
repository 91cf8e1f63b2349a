package rowio_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// TestParquetOfOtherWriters: files of apache/parquet-testing (and one of
// arrow-testing, ARROW-17100) that the Arrow reader refuses, or reads as
// something else; the values are those of pyarrow and, for far dates, told to
// give microseconds.
func TestParquetOfOtherWriters(t *testing.T) {
	for name, want := range map[string]string{
		"old_list_structure": `"a": [[1 2] [3 4]]`,
		"repeated_primitive_no_list": `"Int32_list": [0 1 2 3], "String_list": ["foo" "zero" "one" "two"], "group_of_lists": {"Int32_list_in_group": [0 1 2 3], "String_list_in_group": ["foo" "zero" "one" "two"]}
"Int32_list": [], "String_list": ["three"], "group_of_lists": {"Int32_list_in_group": [], "String_list_in_group": ["three"]}
"Int32_list": [4], "String_list": ["four"], "group_of_lists": {"Int32_list_in_group": [4], "String_list_in_group": ["four"]}
"Int32_list": [5 6 7 8], "String_list": ["five" "six" "seven" "eight"], "group_of_lists": {"Int32_list_in_group": [5 6 7 8], "String_list_in_group": ["five" "six" "seven" "eight"]}`,
		"datapage_v2_empty_datapage.snappy": `"value": null`,
		"int96_from_spark": `"a": timestamp[us, tz=UTC] 1704141296123456
"a": timestamp[us, tz=UTC] 1704070800000000
"a": timestamp[us, tz=UTC] 253402225200000000
"a": timestamp[us, tz=UTC] 1735599600000000
"a": null
"a": timestamp[us, tz=UTC] 9089380393200000000`,
		"column_chunk_key_value_metadata": ``,
		"ARROW-17100": `"col1": 1, "col2": "a", "col3": float 3ff0000000000000, "col4": "a"
"col1": 2, "col2": "b", "col3": float 4000000000000000, "col4": "a"
"col1": 3, "col2": "c", "col3": float 4008000000000000, "col4": "a"
"col1": 4, "col2": "d", "col3": float 4010000000000000, "col4": "b"
"col1": 5, "col2": "e", "col3": float 4014000000000000, "col4": "b"`,
	} {
		f, err := rowio.Open(t.Context(), "testdata/parquet-testing/"+name+".parquet", nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var rows []string
		for b, err := range f.Batches {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			rows = append(rows, rowsOf(b)...)
		}
		if got := strings.TrimSpace(strings.Join(rows, "")); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
		f.Close()
	}
	var unsupported *delta.UnsupportedError
	if _, err := rowio.Open(t.Context(), "testdata/parquet-testing/unknown-logical-type.parquet", nil); !errors.As(err, &unsupported) || unsupported.Feature != "column with unknown type" {
		t.Errorf("an unknown type: %v", err)
	}
}

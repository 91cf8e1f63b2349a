package scan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

const (
	spark   = "Apache-Spark/4.0.1 Delta-Lake/4.0.1"
	deltaRS = "delta-rs:py-0.15.0"
)

// TestForeignStatistics asks whether the one file of a table is skipped for a filter, given what some engine says of its column x. Every case that keeps the
// file does so because a writer is known to say this of files that hold such a row.
func TestForeignStatistics(t *testing.T) {
	thirtyTwo := strings.Repeat("z", 32)
	for _, c := range []struct{ engine, typ, stats, skips, keeps string }{
		{spark, "long", `{"numRecords":9,"minValues":{"x":1},"maxValues":{"x":5},"nullCount":{"x":0}}`, "x < 1; x > 5; x = 6; x IS NULL; x IN (0, 7)", "x = 1; x = 5; x >= 5; x IS NOT NULL; NOT x = 1"},
		{spark, "long", `{"numRecords":9,"minValues":{"x":9007199254740993},"maxValues":{"x":9007199254740993},"nullCount":{"x":0}}`, "x = 9007199254740992; NOT x = 9007199254740993", "x = 9007199254740993"},
		{spark, "long", `{"numRecords":9,"maxValues":{"x":5}}`, "x > 5", "x < -100; x IS NULL; x IS NOT NULL"},
		{spark, "long", `{"numRecords":9,"minValues":{"x":null},"maxValues":{"x":null},"nullCount":{"x":null}}`, "", "x < 1; x > 5; x IS NULL"},
		{spark, "long", `{"numRecords":9,"minValues":{"x":5},"maxValues":{"x":1},"nullCount":{"x":0}}`, "x IS NULL", "x = 3; x = 0; x = 9"},
		{spark, "long", `{"numRecords":9,"minValues":{"x":"a"},"maxValues":{"x":true},"nullCount":{"x":"0"}}`, "", "x = 3; x IS NULL"},
		{spark, "long", `{"numRecords":9,"nullCount":{"x":10}}`, "", "x = 3; x IS NULL; x IS NOT NULL"},
		{spark, "long", `{"numRecords":9,"nullCount":{"x":9}}`, "x = 3; x IS NOT NULL", "x IS NULL"},
		{spark, "long", `{"minValues":{"x":1`, "", "x = 3; x IS NULL"},
		{spark, "long", ``, "", "x = 3; x IS NULL"},
		{spark, "long", `{"numRecords":9,"minValues":{"x":1},"maxValues":{"x":5},"nullCount":{"x":3},"tightBounds":false}`, "x = 6", "x = 1; x IS NULL; x IS NOT NULL"},
		{spark, "long", `{"numRecords":9,"minValues":{"x":1},"maxValues":{"x":5},"nullCount":{"x":0},"tightBounds":false}`, "x IS NULL", "x IS NOT NULL"},
		// Both ends of a timestamp are cut down to milliseconds by Spark; older delta-rs kept microseconds; offsets occur.
		{spark, "timestamp", `{"numRecords":9,"minValues":{"x":"2024-01-02T03:04:05.678Z"},"maxValues":{"x":"2024-01-02T03:04:05.678Z"},"nullCount":{"x":0}}`,
			"x < TIMESTAMP '2024-01-02 03:04:05.678Z'; x >= TIMESTAMP '2024-01-02 03:04:05.679Z'", "x > TIMESTAMP '2024-01-02 03:04:05.678Z'; x = TIMESTAMP '2024-01-02 03:04:05.678999Z'; NOT x = TIMESTAMP '2024-01-02 03:04:05.678Z'"},
		{deltaRS, "timestamp", `{"numRecords":9,"minValues":{"x":"2024-01-02T03:04:05.678901Z"},"maxValues":{"x":"2024-01-02T03:04:05.678901Z"},"nullCount":{"x":0}}`,
			"x < TIMESTAMP '2024-01-02 03:04:05.678901Z'; x > TIMESTAMP '2024-01-02 03:04:05.680Z'", "x = TIMESTAMP '2024-01-02 03:04:05.678901Z'"},
		{spark, "timestamp", `{"numRecords":9,"minValues":{"x":"2024-01-02T05:04:05.678+02:00"},"maxValues":{"x":"2024-01-02T05:04:05.678+02:00"}}`, "x = TIMESTAMP '2024-01-02 05:04:05.678Z'", "x = TIMESTAMP '2024-01-02 03:04:05.678Z'"},
		{spark, "timestamp", `{"numRecords":9,"minValues":{"x":"1969-12-31T23:59:59.999Z"},"maxValues":{"x":"1969-12-31T23:59:59.999Z"}}`, "x >= TIMESTAMP '1970-01-01 00:00:00Z'", "x = TIMESTAMP '1969-12-31 23:59:59.999999Z'"},
		{spark, "timestamp_ntz", `{"numRecords":9,"minValues":{"x":"2024-01-02T03:04:05.678"},"maxValues":{"x":"2024-01-02T03:04:05.678"}}`, "x > TIMESTAMP_NTZ '2024-01-02 03:04:05.679'", "x = TIMESTAMP_NTZ '2024-01-02 03:04:05.678901'"},
		{spark, "timestamp", `{"numRecords":9,"minValues":{"x":"+10000-01-01T00:00:00.000Z"},"maxValues":{"x":"never"}}`, "", "x = TIMESTAMP '2024-01-02 03:04:05Z'"},
		{spark, "date", `{"numRecords":9,"minValues":{"x":"2024-02-29"},"maxValues":{"x":"2024-03-01"}}`, "x < DATE '2024-02-29'; x > DATE '2024-03-01'", "x = DATE '2024-02-29'; x = DATE '2024-03-01'"},
		{spark, "date", `{"numRecords":9,"minValues":{"x":"2023-02-30"},"maxValues":{"x":"20240301"}}`, "", "x = DATE '1990-01-01'; x = DATE '2990-01-01'"},
		// A minimum of 32 characters may be a prefix; a maximum ends with a character that is greater than what was cut off, where the writer kept to the rules.
		{spark, "string", `{"numRecords":9,"minValues":{"x":"` + thirtyTwo + `"},"maxValues":{"x":"` + thirtyTwo + "\u007f" + `"}}`, "x < 'zzz'; x > '~'", "x = '" + thirtyTwo + "zzzz'; x >= '" + thirtyTwo + "a'; NOT x = '" + thirtyTwo + "'"},
		{deltaRS, "string", `{"numRecords":9,"minValues":{"x":"a"},"maxValues":{"x":"b"},"nullCount":{"x":0}}`, "x < 'a'; x > 'b'; x IS NULL; x LIKE 'c%'", "x = 'a'; x LIKE 'b%'"},
		{spark, "string", "{\"numRecords\":9,\"minValues\":{\"x\":\"a\\ud83d\"},\"maxValues\":{\"x\":\"a\\ud83d\"}}", "x < 'a'", "x > 'b'; x = 'a\U0001F600'"},
		// Spark writes NaN as the greatest value and infinities as texts; delta-rs does not look at NaN.
		{spark, "double", `{"numRecords":9,"minValues":{"x":1.0},"maxValues":{"x":5.0},"nullCount":{"x":0}}`, "x > 5; x = CAST('NaN' AS DOUBLE); x < 1", "x = 5; x = 1"},
		{spark, "double", `{"numRecords":9,"minValues":{"x":1.0},"maxValues":{"x":"NaN"},"nullCount":{"x":0}}`, "x < 1", "x > 5; x = CAST('NaN' AS DOUBLE); x > CAST('Infinity' AS DOUBLE)"},
		{spark, "double", `{"numRecords":9,"minValues":{"x":"-Infinity"},"maxValues":{"x":"Infinity"},"nullCount":{"x":0}}`, "x IS NULL", "x < -1.0E300; x > 1.0E300; x = CAST('-Infinity' AS DOUBLE)"},
		{deltaRS, "double", `{"numRecords":9,"minValues":{"x":1.0},"maxValues":{"x":5.0},"nullCount":{"x":0}}`, "x < 1; x = 6", "x > 5; x = CAST('NaN' AS DOUBLE); NOT x < 6"},
		{spark, "float", `{"numRecords":9,"minValues":{"x":0.1},"maxValues":{"x":0.1},"nullCount":{"x":0}}`, "x > 0.2", "x = CAST(0.1 AS FLOAT)"},
		// Decimals through doubles have lost digits.
		{deltaRS, "decimal(20,2)", `{"numRecords":9,"minValues":{"x":1.2345678901234568e16},"maxValues":{"x":1.2345678901234568e16}}`, "x > 12345678901234600", "x = 12345678901234567.89; x = 12345678901234568.00"},
		{spark, "decimal(20,2)", `{"numRecords":9,"minValues":{"x":12345678901234567.89},"maxValues":{"x":12345678901234567.89}}`, "x = 12345678901234567.88; x > 12345678901234567.89", "x = 12345678901234567.89"},
		{spark, "boolean", `{"numRecords":9,"nullCount":{"x":0}}`, "x IS NULL", "x; NOT x"},
		{spark, "long", `{"numRecords":9,"minValues":{"X":1},"maxValues":{"X":5},"nullCount":{"X":0}}`, "", "x = 9; x IS NULL"},
	} {
		for _, kind := range []struct {
			list string
			kept int
		}{{c.skips, 0}, {c.keeps, 1}} {
			for where := range strings.SplitSeq(kind.list, "; ") {
				if where == "" {
					continue
				}
				if got := planned(t, c.engine, c.typ, c.stats, where); got != kind.kept {
					t.Errorf("%s %s %s, %s: %d files are left, want %d", c.engine, c.typ, c.stats, where, got, kind.kept)
				}
			}
		}
	}
}

// planned is the number of files that a filter leaves of a table with one, whose data is not there.
func planned(t *testing.T, engine, typ, stats, where string) int {
	t.Helper()
	store := objstore.New(objstore.NewMem())
	schema := fmt.Sprintf(`{"type":"struct","fields":[{"name":"x","type":%q,"nullable":true,"metadata":{}}]}`, typ)
	body := fmt.Sprintf(`{"commitInfo":{"timestamp":1,"operation":"WRITE","engineInfo":%q}}
{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"],"writerFeatures":["timestampNtz"]}}
{"metaData":{"id":"m","format":{"provider":"parquet","options":{}},"schemaString":%q,"partitionColumns":[],"configuration":{},"createdTime":1}}
{"add":{"path":"a","partitionValues":{},"size":1,"modificationTime":2,"dataChange":true,"stats":"%s"}}`, engine, schema, strings.ReplaceAll(strings.ReplaceAll(stats, `\`, `\\`), `"`, `\"`))
	if err := store.Put(t.Context(), "_delta_log/00000000000000000000.json", strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	snap, err := delta.New(store, &delta.Options{Now: time.Now}).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e, err := filter.ParseSQL(where)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	sc, err := scan.New(snap, &scan.Options{Filter: e})
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	return len(sc.Plan().Files)
}

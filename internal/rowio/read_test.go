package rowio_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/klauspost/compress/zstd"

	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

var known = rowio.Types{
	"n": arrow.PrimitiveTypes.Int64, "i": arrow.PrimitiveTypes.Int32, "x": arrow.PrimitiveTypes.Float64, "f": arrow.PrimitiveTypes.Float32,
	"d": &arrow.Decimal128Type{Precision: 10, Scale: 2}, "s": arrow.BinaryTypes.String, "o": arrow.FixedWidthTypes.Boolean, "bin": arrow.BinaryTypes.Binary,
	"day": arrow.FixedWidthTypes.Date32, "at": &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, "local": &arrow.TimestampType{Unit: arrow.Microsecond},
	"l": arrow.ListOf(arrow.PrimitiveTypes.Int64), "m": arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64),
	"st":         arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, arrow.Field{Name: "B", Type: arrow.BinaryTypes.String, Nullable: true}),
	"net.weight": arrow.PrimitiveTypes.Float64,
}

// TestRead has texts and the rows that they are, or a part of the error. With
// known types the columns above are known, else nothing is.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, format, text string
		known              rowio.Types
		want               string // schema and rows, or an error
	}{
		{"numbers keep their digits", "jsonl", `{"d":1.005,"n":9007199254740993,"s":0.12345678901234567890123}` + "\n" + `{"d":2,"n":2.0,"s":true}`, known,
			`d: decimal(4, 3), n: decimal(16, 0), s: utf8` + "\n" + `201/200, 9007199254740993/1, "0.12345678901234567890123"` + "\n" + `2/1, 2/1, "true"`},
		{"a fraction of many digits stays on its side", "jsonl", `{"d":0.00500000000000000000000000000000000000000000001}`, known, "d: decimal(4, 4)\n51/10000"},
		{"integers of a column that is known", "csv", "i,x,f\n300,+3,0.1\n007,NaN,-Infinity\n,1e3,16777216\n", known,
			"i: int64, x: float64, f: float32\n300, float 4008000000000000, float 3fb99999a0000000\n7, NaN, float fff0000000000000\nnull, float 408f400000000000, float 4170000000000000"},
		{"integers that a float would change stay integers", "jsonl", `{"x":9007199254740993}`, known, "x: int64\n9007199254740993"},
		{"a fraction for an integer", "csv", "i\n1.5\n", known, "i: decimal(2, 1)\n3/2"},
		{"too many digits", "jsonl", `{"i":1}` + "\n" + `{"i":99999999999999999999}`, known, `line 2: column i: "99999999999999999999" is not a value of type int32`},
		{"a number without digits for an integer", "csv", "i\nNaN\n", known, `line 2: column i: "NaN" is not a value of type int32`},
		{"beyond a float", "jsonl", `{"x":1e400}`, known, `line 1: column x: "1e400" is beyond what a float holds`},
		{"beyond a decimal", "csv", "d\n123456789\n", known, `line 2: column d: "123456789" is not a value of type decimal(10,2)`},
		{"an integer that only a decimal holds", "jsonl", `{"v":99999999999999999999}`, nil, "v: decimal(20, 0)\n99999999999999999999/1"},
		{"integers and fractions that no type holds", "jsonl", `{"v":9007199254740993}` + "\n" + `{"v":1e300}`, nil, `column v: "9007199254740993" and the other numbers of the column are held by no type exactly`},
		{"kinds of one column", "jsonl", `{"v":1}` + "\n\n" + `{"v":"a"}`, nil, `line 3: column v: "a" is a text, and a row before has a number`},
		{"numbers and texts of a text", "jsonl", `{"s":1e2}` + "\n" + `{"s":"b"}` + "\n" + `{"s":{"k": [1]}}`, known, "s: utf8\n\"1e2\"\n\"b\"\n" + `"{\"k\": [1]}"`},
		{"dates and times", "jsonl", `{"day":"+10000-01-01","at":"2024-01-02T03:04:05.5+02:00","local":"2024-01-02 03:04"}` + "\n" + `{"day":"-0001-12-31","at":"0000-02-29"}`, known,
			"day: date32, at: timestamp[us, tz=UTC], local: timestamp[us]\nday 2932897, timestamp[us, tz=UTC] 1704157445500000, timestamp[us] 1704164640000000\nday -719529, timestamp[us, tz=UTC] -62162121600000000, null"},
		{"a day that is none", "csv", "day\n2023-02-29\n", known, `line 2: column day: "2023-02-29" is not a value of type date`},
		{"times finer than a table's", "csv", "at\n2024-01-02T03:04:05.123456789Z\n2024-01-02\n", known, "at: timestamp[ns, tz=UTC]\ntimestamp[ns, tz=UTC] 1704164645123456789\ntimestamp[ns, tz=UTC] 1704153600000000000"},
		{"a fine time far away", "jsonl", `{"at":"3000-01-02T03:04:05.123456789Z"}`, known, `line 1: column at: "3000-01-02T03:04:05.123456789Z" stands in a column with times finer than a microsecond`},
		{"a zone for a column without", "csv", "local\n2024-01-02T03:04:05+02:00\n", known, `line 2: column local: "2024-01-02T03:04:05+02:00" is not a value of type timestamp without zone`},
		{"bytes", "csv", "bin\nAP8=\n\"\"\n\n", known, "bin: binary\nbytes 00ff\nbytes \nnull"},
		{"bytes that are none", "jsonl", `{"bin":"AP8"}`, known, `line 1: column bin: "AP8" is not a value of type binary (text in base64)`},
		{"booleans", "csv", "o\nTRUE\nf\n1\n", known, "o: bool\ntrue\nfalse\ntrue"},
		{"no boolean", "csv", "o\nyes\n", known, `line 2: column o: "yes" is not a value of type boolean`},
		{"maps", "jsonl", `{"m":{"a":1,"b":null}}` + "\n" + `{"m":[{"value":3,"key":"c"},{"key":"d"}]}` + "\n" + `{"m":{}}`, known, "m: map<utf8, int64, items_nullable>\nmap[\"a\" \"b\"][1 null]\nmap[\"c\" \"d\"][3 null]\nmap[][]"},
		{"a null key", "jsonl", `{"m":[{"key":null}]}`, known, `line 1: column m: "null" is no key of a map`},
		{"a pair that is none", "jsonl", `{"m":[["a",1]]}`, known, `line 1: column m: "[\"a\",1]" is no pair of a map`},
		{"members without case", "jsonl", `{"ST":{"A":"1","b":2}}`, known, "ST: struct<A: int64, b: utf8>\n{\"A\": 1, \"b\": \"2\"}"},
		{"nothing but null", "jsonl", `{"l":null,"st":null,"day":null,"v":null}`, known, "l: list<item: int64,>, st: struct<a: int64, B: utf8>, day: date32, v: utf8\nnull, null, null, null"},
		{"one list of rows", "jsonl", "\ufeff[\n{\"v\": 1},\n{\"v\": 2}\n]\n", nil, "v: int64\n1\n2"},
		{"names twice", "jsonl", `{"v":1}` + "\n" + `{"v":1,"v":2}`, nil, `line 2: column v: duplicate object member name`},
		{"no object", "jsonl", `{"v":1}` + "\n" + `7`, nil, "line 2: want an object, with a member for each column, got 7"},
		{"half a row", "jsonl", `{"v":1}` + "\n" + `{"v":`, nil, "line 2: column v: the text ends within a value"},
		{"no row", "jsonl", "\n\n", nil, "no rows: every line must hold a JSON object"},
		{"half a surrogate", "jsonl", `{"v":"a\ud83d"}`, nil, "line 1: column v: invalid surrogate pair"},
		{"no UTF-8 in JSON", "jsonl", "{\"v\":\"a\"}\n{\"v\":\"\xe9\"}", nil, "line 2: column v: invalid UTF-8"},
		{"no UTF-8 in a name", "jsonl", "{\"\xe9\":\"a\"}", nil, "line 1: invalid UTF-8"},
		{"no UTF-8 in CSV", "csv", "v,w\na,b\nc,\xe9\n", nil, `line 3: field 2: "\xe9" is no UTF-8`},
		{"no UTF-8 in a header", "csv", "v\xe9\na\n", nil, "line 1: field 1"},
		{"an object without members", "jsonl", `{"v":{}}`, nil, "column v: objects without a member make no column"},
		{"deep", "jsonl", `{"v":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}", nil, "lie more than 100 deep in each other"},
		{"headers with dots", "csv", "net.weight,st.a,.hid,q.r.s,end.\n0.5,1,h,2,e\n,,,,\n", known,
			"net.weight: float64, st: struct<a: int64>, .hid: utf8, q: struct<r.s: int64>, end.: utf8\nfloat 3fe0000000000000, {\"a\": 1}, \"h\", {\"r.s\": 2}, \"e\"\nnull, null, null, null, null"},
		{"a struct of nulls", "csv", "st.a,st.B\n\"\",\n,\n", known, "st: struct<a: int64, B: utf8>\n{\"a\": null, \"B\": null}\nnull"},
		{"a struct and a column of one name", "csv", "q.a,q\n1,2\n", nil, `line 1: column "q" stands beside columns of its members`},
		{"lists in CSV", "csv", "l,m\n\"[1,null]\",\"{\"\"a\"\":1}\"\n", known, "l: list<item: int64,>, m: map<utf8, int64, items_nullable>\n[1 null], map[\"a\"][1]"},
		{"no list in CSV", "csv", "l\n1;2\n", known, `line 2: column l: "1;2" is more than one value of JSON`},
		{"two headers", "csv", "a,a\n1,2\n", nil, `line 1: two columns are called "a"`},
		{"an empty file", "csv", "", nil, "the CSV file is empty"},
		{"fields are missing", "csv", "a,b\n1,2\n3\n", nil, "line 3: 1 fields, and the header has 2"},
		{"quotes that do not end", "csv", "a\n1\n\"x\n\n", nil, "line 3: the quotes of field 1 are not closed"},
		{"quotes that end early", "csv", "a\n\"x\"y\n", nil, "line 2: field 1 goes on after its quotes"},
		{"quotes within", "csv", "a\nx\"y\n", nil, "line 2: field 1 has a quote but does not begin with one"},
		{"carriage returns alone", "csv", "a\r1\r", nil, "line 1: field 1 has a carriage return outside of quotes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := describe(t, c.format, []byte(c.text), c.known)
			if err != nil {
				got = err.Error()
			}
			if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if words := unwanted(got); words != "" {
				t.Errorf("%q is a word of the program's insides: %s", words, got)
			}
		})
	}
}

// unwanted finds words that say nothing to who gave the file.
func unwanted(text string) string {
	for _, w := range []string{"jsontext", "arrow/", "strconv", "unmarshal", "%!", "<nil>", "runtime error"} {
		if strings.Contains(text, w) {
			return w
		}
	}
	return ""
}

// describe has the columns on the first line, a row on each other.
func describe(t *testing.T, format string, text []byte, known rowio.Types) (string, error) {
	t.Helper()
	f, err := rowio.Open(t.Context(), "-", &rowio.Options{Format: format, Stdin: bytes.NewReader(text), Types: func() (rowio.Types, error) { return known, nil }})
	if err != nil {
		return "", err
	}
	defer f.Close()
	var columns []string
	for _, f := range f.Schema.Fields() {
		columns = append(columns, f.Name+": "+strings.ReplaceAll(f.Type.String(), " nullable", ""))
	}
	lines := []string{strings.Join(columns, ", ")}
	for b, err := range f.Batches {
		if err != nil {
			return "", err
		}
		for i := range int(b.NumRows()) {
			var row []string
			for _, a := range b.Columns() {
				row = append(row, valueOf(a, i))
			}
			lines = append(lines, strings.Join(row, ", "))
		}
	}
	return strings.Join(lines, "\n"), nil
}

// TestFiles opens files by their suffix, compressed ones too, and pipes.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := []byte("k,v\n1,a\n")
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	if _, err := z.Write(text); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zst := e.EncodeAll(text, nil)
	many := append(bytes.Clone(gz.Bytes()), gz.Bytes()...)
	for name, data := range map[string][]byte{"n.csv": text, "n.CSV": text, "n.csv.gz": gz.Bytes(), "n.csv.zst": zst, "n.csv.ZSTD": zst, "odd.csv": gz.Bytes()} {
		f, err := rowio.Open(t.Context(), put(name, data), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := 0
		for b, err := range f.Batches {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			n += int(b.NumRows())
		}
		if n != 1 {
			t.Errorf("%s: %d rows", name, n)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"n.tsv": {text, `n.tsv: unknown suffix ".tsv": want .parquet`}, "noext": {text, "noext: no suffix says"}, "n.parquet.gz": {gz.Bytes(), "compressed inside, not by gzip"},
		"bad.csv.gz": {text, "its suffix says gzip"}, "bad.jsonl.zst": {text, "invalid input"}, "cut.csv.gz": {gz.Bytes()[:gz.Len()-9], "the file ends within its compressed data"},
		"twice.csv.gz": {many, `two`}, "t.parquet": {text, "is no Parquet file: it is too small"}, "u.parquet": {bytes.Repeat(text, 9), "is no Parquet file: its last bytes are not PAR1"},
		"t.arrow": {text, "is no Arrow file or stream"},
	} {
		_, err := rowio.Open(t.Context(), put(name, c.data), nil)
		switch {
		case name == "twice.csv.gz":
			if err != nil { // its two members are one text
				t.Error(err)
			}
		case err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		var format *rowio.FormatError
		var data *rowio.DataError
		if err != nil && !errors.As(err, &format) && !errors.As(err, &data) {
			t.Errorf("%s: %T", name, err)
		}
	}
	if _, err := rowio.Open(t.Context(), filepath.Join(dir, "none.csv"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := rowio.Open(t.Context(), dir, &rowio.Options{Format: "csv"}); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	for _, c := range [][2]string{{"parquet", "is no Parquet file: it is too small"}, {"", "standard input: its format has to be said"}, {"xml", `unknown format "xml"`}} {
		if _, err := rowio.Open(t.Context(), "-", &rowio.Options{Format: c[0], Stdin: bytes.NewReader(text)}); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("standard input as %q: %v", c[0], err)
		}
	}
}

// TestIntervals refuses a column that the library takes for bytes. DuckDB wrote
// the file.
func TestIntervals(t *testing.T) {
	data, err := base64.StdEncoding.DecodeString(intervalFile)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "n.parquet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rowio.Open(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "column span: an interval has no type in a table") {
		t.Error(err)
	}
}

const intervalFile = "UEFSMRUAFRAVFCwVAhUAFQYVBgAACBwBAAAAAAAAABUAFRgVHCwVAhUAFQYVBgAADCwAAAAAAQAAAAAAAAAVAhk8NQAYDWR1Y2tkYl9zY2hlbWEVBAAVBCUAGAFrJSQAFQ4VGBUAGARzcGFuJSoAFgIZHBksJgAcFQQZFQAZGAFrFQIWAhYyFjYmCDwYCAEAAAAAAAAAGAgBAAAAAAAAABYAKAgBAAAAAAAAABgIAQAAAAAAAAAREQAZHBUAFQAVAgAAACYAHBUOGRUAGRgEc3BhbhUCFgIWOhY+Jj5JHBUAFQAVAgAAABZsFgImCBZ0ABkcGBxkdWNrZGIuaW50ZXJ2YWxfYmxvb21fZmlsdGVyGA1ub3JtYWxpemVkLXYxABgoRHVja0RCIHZlcnNpb24gdjIuMC4xIChidWlsZCA4ZDc4MTE0ZTkwKRksHAAAHAAAABYBAABQQVIx"

package delta_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// vectors are the groups of tables/vectors.json that concern this room.
type vectors struct {
	Truncation struct {
		Min, Max []cutCase
		Kernel   []cutCase `json:"max_kernel_prefix_32"`
	} `json:"stats_truncation"`
	Partitions struct {
		Rows    []partitionCase
		Scalars struct{ Cases []partitionCase }
	} `json:"partition_values"`
	Hive struct {
		Cases []struct{ Value, Dir string }
	} `json:"hive_directory_escape"`
}

type cutCase struct {
	In     string
	Out    *string
	Prefix int
}

type partitionCase struct {
	Type, Value, Dir string
	AddPath          string  `json:"add_path"`
	PartitionValue   *string `json:"partition_value"`
}

func loadVectors(t *testing.T, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "tables"), "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// TestVectorGroups: every group of vectors has a test. Those not of this package are tested in txlog and internal/dv.
func TestVectorGroups(t *testing.T) {
	var v map[string]json.RawMessage
	loadVectors(t, &v)
	known := []string{"about", "deletion_vector_descriptors", "hive_directory_escape", "last_checkpoint_checksum", "partition_values", "paths", "stats_truncation", "z85"}
	if got := slices.Sorted(maps.Keys(v)); !slices.Equal(got, known) {
		t.Errorf("groups %v, tested are %v", got, known)
	}
}

// TestTruncation compares with Spark and the kernel. They count a character beyond the basic plane as two and as one, and both are right.
func TestTruncation(t *testing.T) {
	var v vectors
	loadVectors(t, &v)
	c := v.Truncation
	if len(c.Min) == 0 || len(c.Max) == 0 || len(c.Kernel) == 0 {
		t.Fatal("no cases")
	}
	basic := func(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r > 0xffff }) }
	text := func(s *string) string {
		if s == nil {
			return "none"
		}
		return strconv.Quote(*s)
	}
	for _, x := range c.Min {
		if lo, _, err := delta.CutBounds(x.In, x.Prefix); err != nil || !strings.HasPrefix(x.In, lo) || x.Out != nil && basic(x.In) && lo != *x.Out {
			t.Errorf("minimum of %q at %d: got %q, %v, want %s", x.In, x.Prefix, lo, err, text(x.Out))
		}
	}
	for i := range c.Kernel {
		c.Kernel[i].Prefix = 32
	}
	for i, x := range append(c.Kernel, c.Max...) {
		_, hi, err := delta.CutBounds(x.In, x.Prefix)
		if err != nil || hi != nil && *hi < x.In || (i < len(c.Kernel) || basic(x.In)) && text(hi) != text(x.Out) {
			t.Errorf("maximum of %q at %d: got %s, %v, want %s", x.In, x.Prefix, text(hi), err, text(x.Out))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.SampledFrom([]rune{'a', 0x7e, 0x7f, 0x80, 0xfffd, 0x1f600, utf8.MaxRune})).Draw(t, "text")
		n := rapid.IntRange(1, 8).Draw(t, "prefix")
		lo, hi, err := delta.CutBounds(s, n)
		if err != nil || lo > s || utf8.RuneCountInString(lo) > n || hi != nil && (*hi < s || utf8.RuneCountInString(*hi) > 2*n) {
			t.Fatalf("%q at %d: %q to %s, %v", s, n, lo, text(hi), err)
		}
	})
}

var sparkTypes = map[string]string{"INT": "integer", "BIGINT": "long", "TINYINT": "byte", "SMALLINT": "short", "DECIMAL(38,18)": "decimal(38,18)"}

var rustEscape = regexp.MustCompile(`\\u\{([0-9A-Fa-f]+)\}`)

// TestPartitionTexts: what Spark wrote is read and written the same. Directories of timestamps are left out, as they depend on a time zone.
func TestPartitionTexts(t *testing.T) {
	var v vectors
	loadVectors(t, &v)
	plain := func(s string) string {
		s = rustEscape.ReplaceAllStringFunc(s, func(x string) string {
			n, err := strconv.ParseInt(rustEscape.FindStringSubmatch(x)[1], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return string(rune(n))
		})
		return strings.TrimSuffix(s, "*")
	}
	same := func(typ, want string) {
		got, err := delta.PartitionText(want, typ)
		if err != nil || got == nil || *got != want && !(strings.HasPrefix(typ, "timestamp") && strings.Replace(*got, ".000000", "", 1) == strings.Replace(want, ".000000", "", 1)) {
			t.Errorf("%s %q: got %v, %v", typ, want, got, err)
		}
	}
	tried := 0
	for _, c := range v.Partitions.Rows {
		typ, ok := sparkTypes[c.Type]
		if !ok {
			typ = strings.ToLower(c.Type)
		}
		raw := plain(*c.PartitionValue)
		if raw == "N/A" || strings.HasPrefix(raw, "<invalid") {
			continue // Spark could not write it
		}
		tried++
		var value *string
		if raw != "null" {
			text := strings.TrimSuffix(strings.TrimPrefix(raw, `"`), `"`)
			value = &text
			same(typ, text)
		}
		dir, _, _ := strings.Cut(plain(c.Dir), "(trailing")
		if got := delta.PartitionDir(value); got != dir && !strings.HasPrefix(typ, "timestamp") {
			t.Errorf("%s %s: directory %q, want %q", c.Type, raw, got, dir)
		} else if path := txlog.EncodePath(got); path != plain(c.AddPath) && !strings.HasPrefix(typ, "timestamp") {
			t.Errorf("%s %s: path %q, want %q", c.Type, raw, path, c.AddPath)
		}
	}
	if tried < 60 || len(v.Partitions.Scalars.Cases) == 0 {
		t.Fatalf("%d rows, %d scalars", tried, len(v.Partitions.Scalars.Cases))
	}
	for _, c := range v.Partitions.Scalars.Cases {
		if c.PartitionValue != nil && *c.PartitionValue != "" {
			same(c.Type, *c.PartitionValue)
		}
	}
}

func TestHiveEscape(t *testing.T) {
	var v vectors
	loadVectors(t, &v)
	if len(v.Hive.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range v.Hive.Cases {
		if got := delta.HiveEscape(c.Value); got != c.Dir {
			t.Errorf("%q: got %q, want %q", c.Value, got, c.Dir)
		}
	}
}

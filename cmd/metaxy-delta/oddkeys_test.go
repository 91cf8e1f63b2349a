package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// oddValues become directory names: of everything that some path, URL, shell or service treats as special.
var oddValues = []string{
	"a b", "100%", "%20", "%2F", "%252F", "a+b", "a/b", "/", "//", ".", "..", "../x", "a\\b", "\\", "é", "e\u0301", "日本語", "😀", `"quoted"`, "it's", "`x`", "#frag", "?q=1", "a&b", "a=b", "a:b",
	"*", "<tag>", "{x}", "[x]", "|", "~", "^", "$HOME", "!", ";", ",", "(x)", "\x01", "\x1b[31m", "\t", "\n", "\r\n", "\x7f", "\u0085", "\u2028", "\ufeff", " lead", "trail ", "dot.", "CON",
	strings.Repeat("long", 40), "_hidden", ".hidden", "__HIVE_DEFAULT_PARTITION__x",
}

func TestOddKeys(t *testing.T) { oddKeys(t, newPlace(t), "./odd table #1/50% é") }

// oddKeys writes a table whose partitions have such values and reads each row back; check and vacuum see the same files. TestServers does so on servers.
func oddKeys(t *testing.T, p *place, table string) {
	var lines strings.Builder
	for i, v := range oddValues {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, `{"id": %d, "part": %s}`+"\n", i, text)
	}
	writeFile(t, filepath.Join(p.dir, "odd.jsonl"), []byte(lines.String()))
	p.must("table", "write", table, "odd.jsonl", "--partition-by", "part")
	got := make([]string, len(oddValues))
	for line := range strings.Lines(p.must("table", "read", table, "--format", "jsonl")) {
		var row struct {
			ID   int
			Part string
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		got[row.ID] = row.Part
	}
	for i := range got {
		if got[i] != oddValues[i] {
			t.Errorf("%q came back as %q", oddValues[i], got[i])
		}
	}
	p.must("table", "check", table)
	if out := p.must("table", "vacuum", table, "--dry-run", "--retention", "0s", "--allow-short-retention"); !strings.Contains(out, `"num_files": 0`) {
		t.Errorf("a vacuum would delete live files: %s", out)
	}
}

package rowhash_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

func TestHashVectors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "vectors"), "hashes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			S      *string
			Repeat int
			Full   map[string]*string
			Cut8   map[string]*string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, c := range file.Cases {
		if c.S == nil {
			continue // null hashes to null: the columns' business
		}
		text := strings.Repeat(*c.S, max(1, c.Repeat))
		for _, name := range rowhash.Algorithms() {
			for length, want := range map[int]*string{1000: c.Full[name], 8: c.Cut8[name]} {
				h, err := rowhash.New(name, length)
				if err != nil {
					t.Fatal(err)
				}
				if want == nil {
					t.Errorf("%s: no recorded value", name)
					continue
				}
				if got := string(h.Append(nil, []byte(text))); got != *want {
					t.Errorf("%s of %d bytes cut to %d: %s, want %s", name, len(text), length, got, *want)
				}
				checked++
			}
		}
	}
	if checked == 0 {
		t.Fatal("no cases")
	}
	t.Logf("%d values", checked)
}

func TestUnknownAlgorithm(t *testing.T) {
	if _, err := rowhash.New("farmhash", 8); err == nil {
		t.Error("farmhash was taken")
	}
}

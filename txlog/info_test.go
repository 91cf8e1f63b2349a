package txlog_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestCommitInfoValues reads members of any shape as encoding/json reads them.
func TestCommitInfoValues(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `null`, `true`, `false`, `""`, `"a\u00e4\ud83d\ude00\n\"\\"`, `0`, `-1.50e+300`, `12345678901234567890`, `[1,[],{},null,"x",[true,{"a":[{}]}]]`,
		`{"a":{"b":{"c":[1,2,{"d":null}]}},"e":"f","a":{"last":1}}`, ` { "x" : [ 1 , 2 ] } `,
	} {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatal(err)
		}
		actions, err := txlog.DecodeCommit([]byte(`{"commitInfo":{"member":` + text + `,"after":1}}`))
		if err != nil || len(actions) != 1 {
			t.Errorf("%s: %v %v", text, actions, err)
			continue
		}
		if d := cmp.Diff(map[string]any{"member": want, "after": json.Number("1")}, actions[0].(*txlog.CommitInfo).Fields); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

package rewrite_test

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
)

// TestDoubleQuotesInRules judges rules whose double-quoted words can only be texts, and refuses those in which they may be columns too.
func TestDoubleQuotesInRules(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "state", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "other", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	for rule, ok := range map[string]bool{`state <> "open"`: true, `state <> 'open'`: true, `"state" <> 'open'`: false, `state <> "other"`: false, "`state` <> 'other'": true} {
		if _, err := rewrite.Checker(rule, schema); (err == nil) != ok {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

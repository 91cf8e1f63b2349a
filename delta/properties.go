package delta

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Names of properties and of column metadata that this room acts on.
const (
	constraintPrefix = "delta.constraints."
	featurePrefix    = "delta.feature."
	propRowTracking  = "delta.enableRowTracking"
	propMaxColumnID  = "delta.columnMapping.maxColumnId"
	metaGenerated    = "delta.generationExpression"
	metaIdentity     = "delta.identity.start"
	metaDefault      = "CURRENT_DEFAULT"
)

// The kinds of values that properties of the protocol take; what has no entry is free text.
var propertyKinds = map[string]string{
	"delta.appendOnly": "bool", "delta.enableChangeDataFeed": "bool", "delta.enableDeletionVectors": "bool", propICT: "bool", propRowTracking: "bool",
	"delta.enableTypeWidening": "bool", "delta.checkpoint.writeStatsAsJson": "bool", "delta.checkpoint.writeStatsAsStruct": "bool",
	"delta.autoOptimize.autoCompact": "any", "delta.autoOptimize.optimizeWrite": "bool", "delta.randomizeFilePrefixes": "bool", "delta.enableExpiredLogCleanup": "bool",
	"delta.checkpointInterval": "count", "delta.randomPrefixLength": "count", "delta.dataSkippingNumIndexedCols": "columns", "delta.dataSkippingStatsColumns": "any",
	"delta.deletedFileRetentionDuration": "interval", "delta.logRetentionDuration": "interval", "delta.setTransactionRetentionDuration": "interval",
	"delta.columnMapping.mode": "mapping", "delta.checkpointPolicy": "policy", "delta.isolationLevel": "isolation", "delta.targetFileSize": "any",
	"delta.tuneFileSizesForRewrites": "bool", "delta.parquet.compression.codec": "any",
}

// checkProperty refuses a value that the property cannot have, and properties of the protocol that this build does not know.
func checkProperty(key, value string) error {
	bad := func(want string) error { return fmt.Errorf("property %s: want %s, got %q", key, want, value) }
	if !strings.HasPrefix(key, "delta.") {
		return nil
	}
	if f, ok := strings.CutPrefix(key, featurePrefix); ok {
		if !slices.Contains(writable, f) {
			return &UnsupportedError{Feature: f, Need: "writer feature", Have: strings.Join(writable, ", ")}
		}
		if value != "supported" && value != "enabled" {
			return bad("supported")
		}
		return nil
	}
	if strings.HasPrefix(key, constraintPrefix) {
		return nil
	}
	kind, ok := propertyKinds[key]
	if !ok {
		return &UnsupportedError{Feature: key, Need: "table property", Have: strings.Join(sortedKeys(propertyKinds), ", ")}
	}
	switch kind {
	case "bool":
		if value != "true" && value != "false" {
			return bad("true or false")
		}
	case "count":
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 1 {
			return bad("a number above 0")
		}
	case "columns":
		if n, err := strconv.ParseInt(value, 10, 32); err != nil || n < -1 {
			return bad("a number, -1 for all columns")
		}
	case "interval":
		if _, err := parseInterval(value); err != nil {
			return bad("an interval such as \"interval 7 days\"")
		}
	case "mapping":
		if value != "none" && value != "name" && value != "id" {
			return bad("none, name or id")
		}
	case "policy":
		if value != "classic" && value != "v2" {
			return bad("classic or v2")
		}
	case "isolation":
		if value != "Serializable" && value != "WriteSerializable" {
			return bad("Serializable or WriteSerializable")
		}
	}
	return nil
}

// parseInterval reads `interval 1 week 2 days`, the text of retention properties. Months and years have no fixed length and are refused.
func parseInterval(text string) (time.Duration, error) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) > 0 && words[0] == "interval" {
		words = words[1:]
	}
	if len(words) == 0 || len(words)%2 != 0 {
		return 0, fmt.Errorf("interval %q: want pairs of number and unit", text)
	}
	units := map[string]time.Duration{"microsecond": time.Microsecond, "millisecond": time.Millisecond, "second": time.Second, "minute": time.Minute,
		"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour}
	total := time.Duration(0)
	for i := 0; i < len(words); i += 2 {
		n, err := strconv.ParseInt(words[i], 10, 64)
		unit, ok := units[strings.TrimSuffix(words[i+1], "s")]
		if err != nil || !ok || n < 0 || n > int64((1<<62)/unit) {
			return 0, fmt.Errorf("interval %q: %s %s is no length of time", text, words[i], words[i+1])
		}
		total += time.Duration(n) * unit
	}
	if total < 0 {
		return 0, fmt.Errorf("interval %q is too long", text)
	}
	return total, nil
}

// Retention is a retention property (such as delta.logRetentionDuration) as a duration; def where it is not set or cannot be read.
func (s *Snapshot) Retention(property string, def time.Duration) time.Duration {
	if d, err := parseInterval(s.property(property)); err == nil && s.property(property) != "" {
		return d
	}
	return def
}

// indexedColumns is how many leaves have statistics.
func indexedColumns(configuration map[string]string) int {
	if n, err := strconv.Atoi(configuration["delta.dataSkippingNumIndexedCols"]); err == nil && n >= -1 {
		return n
	}
	return 32
}

// statsColumns reads delta.dataSkippingStatsColumns: names separated by commas, members by dots, parts with such characters in backticks. nil without it.
func statsColumns(configuration map[string]string) [][]string {
	text, ok := configuration["delta.dataSkippingStatsColumns"]
	if !ok {
		return nil
	}
	out := [][]string{}
	var path []string
	var part strings.Builder
	quoted := false
	flush := func() {
		path = append(path, strings.TrimSpace(part.String()))
		part.Reset()
	}
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == ',' && !quoted:
			flush()
			if len(path) > 1 || path[0] != "" {
				out = append(out, path)
			}
			path = nil
		case text[i] == '`' && quoted && i+1 < len(text) && text[i+1] == '`':
			part.WriteByte('`')
			i++
		case text[i] == '`':
			quoted = !quoted
		case text[i] == '.' && !quoted:
			flush()
		default:
			part.WriteByte(text[i])
		}
	}
	return out
}

// isolation is the level at which changes are checked against others.
func isolation(m *txlog.Metadata) string {
	if m.Configuration["delta.isolationLevel"] == "WriteSerializable" {
		return "WriteSerializable"
	}
	return "Serializable"
}

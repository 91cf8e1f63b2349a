package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	metaxy "github.com/metaxy-delta/metaxy-delta"
)

// reasonCounts are the rows of each part by reason; nil when nobody asked.
func reasonCounts(inc *metaxy.Increment) map[string]map[string]int64 {
	counts := inc.Reasons()
	if counts == nil {
		return nil
	}
	out := map[string]map[string]int64{}
	for part, name := range partNames {
		if list := counts[metaxy.Part(part)]; len(list) > 0 {
			out[name] = list
		}
	}
	return out
}

// mostReasons are as many reasons as one line has.
const mostReasons = 5

// reasonText is `50 stale: 50 video/raw.audio`; "" without counts.
func reasonText(part string, counts map[string]int64) string {
	if len(counts) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b)) })
	var total, rest int64
	var parts []string
	for i, name := range names {
		total += counts[name]
		if i >= mostReasons {
			rest += counts[name]
			continue
		}
		parts = append(parts, thousands(counts[name])+" "+cmp.Or(name, "unknown"))
	}
	if rest > 0 {
		parts = append(parts, thousands(rest)+fmt.Sprintf(" for %d other reasons", len(names)-mostReasons))
	}
	return thousands(total) + " " + part + ": " + strings.Join(parts, ", ")
}

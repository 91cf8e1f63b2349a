// Package nearest finds the known names that a misspelt one may have meant, for the hints of errors. It counts bytes, not letters: the names are mostly ASCII.
package nearest

import (
	"slices"
	"strings"
)

// Names returns the known names that look like name, best first, equals in the
// order given, each once, at most three. The cost is len(name) times the length
// of all of them.
func Names(name string, known []string) []string {
	cost := map[string]int{}
	var found []string
	for _, k := range known {
		if _, again := cost[k]; again {
			continue
		}
		c := distance(name, k)
		if c <= max(min(2, len(name)-1), len(name)/3) || len(name) > 2 && strings.Contains(k, name) {
			cost[k] = c
			found = append(found, k)
		}
	}
	slices.SortStableFunc(found, func(a, b string) int { return cost[a] - cost[b] })
	return found[:min(3, len(found))]
}

// distance is the number of edits between two texts.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

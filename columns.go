package metaxy

import (
	"errors"
	"maps"
	"slices"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// systemNamespace is the first part of the keys of system tables.
const systemNamespace = "metaxy-system"

func sortedKeys[V any](m map[feature.Key]V) []feature.Key {
	return slices.SortedFunc(maps.Keys(m), feature.Key.Compare)
}

func isNotFound(err error) bool { return errors.Is(err, ErrFeatureNotFound) }

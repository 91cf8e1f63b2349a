package metaxy

import (
	"errors"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// The system columns of a feature table (internal/docs/formats.md).
const (
	colProvenanceByField  = "metaxy_provenance_by_field"
	colProvenance         = "metaxy_provenance"
	colFeatureVersion     = "metaxy_feature_version"
	colProjectVersion     = "metaxy_project_version"
	colDataVersionByField = "metaxy_data_version_by_field"
	colDataVersion        = "metaxy_data_version"
	colCreatedAt          = "metaxy_created_at"
	colUpdatedAt          = "metaxy_updated_at"
	colDeletedAt          = "metaxy_deleted_at"
	colMaterializationID  = "metaxy_materialization_id"
)

// systemNamespace is the first part of the keys of system tables.
const systemNamespace = "metaxy-system"

var stampType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

func sortedKeys[V any](m map[feature.Key]V) []feature.Key {
	return slices.SortedFunc(maps.Keys(m), feature.Key.Compare)
}

func isNotFound(err error) bool { return errors.Is(err, ErrFeatureNotFound) }

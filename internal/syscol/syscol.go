// Package syscol names the system columns of feature tables, in the order in
// which Metaxy lists them (internal/docs/formats.md).
package syscol

// The names.
const (
	ProvenanceByField  = "metaxy_provenance_by_field"
	Provenance         = "metaxy_provenance"
	FeatureVersion     = "metaxy_feature_version"
	ProjectVersion     = "metaxy_project_version"
	DataVersionByField = "metaxy_data_version_by_field"
	DataVersion        = "metaxy_data_version"
	CreatedAt          = "metaxy_created_at"
	UpdatedAt          = "metaxy_updated_at"
	DeletedAt          = "metaxy_deleted_at"
	MaterializationID  = "metaxy_materialization_id"
)

// All are the names.
var All = [...]string{ProvenanceByField, Provenance, FeatureVersion, ProjectVersion, DataVersionByField, DataVersion, CreatedAt, UpdatedAt, DeletedAt, MaterializationID}

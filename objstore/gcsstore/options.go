package gcsstore

import "github.com/metaxy-delta/metaxy-delta/objstore/service"

// names are the options of delta-rs for GCS, and what becomes of them.
var names = service.Names{
	Prefix: "google_",
	Served: []string{
		"service_account", "service_account_path", "service_account_key", "application_credentials", "bearer_token", "skip_signature", "base_url", "endpoint",
	},
	Unused: []string{"bucket", "bucket_name"},
}

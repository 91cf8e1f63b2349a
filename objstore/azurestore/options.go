package azurestore

import "github.com/metaxy-delta/metaxy-delta/objstore/service"

// names are the options of delta-rs for Azure, and what becomes of them.
var names = service.Names{
	Prefix: "azure_",
	Served: []string{
		"storage_account_name", "storage_account", "account_name", "storage_account_key", "storage_access_key", "storage_master_key", "storage_key", "account_key", "access_key", "master_key",
		"storage_sas_token", "storage_sas_key", "sas_token", "sas_key", "storage_token", "bearer_token", "token", "storage_connection_string",
		"storage_client_id", "client_id", "storage_client_secret", "client_secret", "storage_tenant_id", "storage_authority_id", "tenant_id", "authority_id", "federated_token_file",
		"storage_use_emulator", "object_store_use_emulator", "use_emulator", "storage_endpoint", "endpoint", "skip_signature", "use_azure_cli",
	},
	Unused: []string{"container_name", "disable_tagging"},
	Refused: map[string]string{
		"storage_authority_host":    "set AZURE_AUTHORITY_HOST in the environment",
		"authority_host":            "set AZURE_AUTHORITY_HOST in the environment",
		"storage_encryption_key":    "keys of the customer are not sent; encrypt with a key of the account",
		"encryption_key":            "keys of the customer are not sent; encrypt with a key of the account",
		"credential_type":           "the options that are set decide how requests are signed",
		"use_fabric_endpoint":       fabric,
		"fabric_token_service_url":  fabric,
		"fabric_workload_host":      fabric,
		"fabric_session_token":      fabric,
		"fabric_cluster_identifier": fabric,
		"msi_endpoint":              identity,
		"identity_endpoint":         identity,
		"object_id":                 identity,
		"msi_resource_id":           identity,
	},
}

const (
	fabric   = "Microsoft Fabric is not served"
	identity = "the identity of the machine is found by itself; AZURE_CLIENT_ID in the environment chooses one of several"
)

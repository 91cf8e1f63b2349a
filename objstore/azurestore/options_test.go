package azurestore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
)

// documented are the options that the documentation of delta-rs and of the object_store library below it names for Azure.
const documented = `
azure_storage_account_name account_name azure_storage_account_key azure_storage_access_key azure_storage_master_key access_key account_key master_key
azure_storage_client_id azure_client_id client_id azure_storage_client_secret azure_client_secret client_secret
azure_storage_tenant_id azure_storage_authority_id azure_tenant_id azure_authority_id tenant_id authority_id azure_storage_authority_host azure_authority_host authority_host
azure_storage_sas_key azure_storage_sas_token sas_key sas_token azure_storage_token bearer_token token azure_storage_use_emulator use_emulator azure_storage_endpoint azure_endpoint endpoint
azure_msi_endpoint azure_identity_endpoint identity_endpoint msi_endpoint azure_object_id object_id azure_msi_resource_id msi_resource_id azure_federated_token_file federated_token_file
azure_use_fabric_endpoint use_fabric_endpoint azure_use_azure_cli use_azure_cli azure_skip_signature skip_signature azure_container_name container_name azure_disable_tagging disable_tagging
azure_fabric_token_service_url fabric_token_service_url azure_fabric_workload_host fabric_workload_host azure_fabric_session_token fabric_session_token azure_fabric_cluster_identifier fabric_cluster_identifier
azure_storage_encryption_key encryption_key azure_credential_type credential_type
azure_allow_http allow_http timeout connect_timeout proxy_url user_agent pool_idle_timeout OBJECT_STORE_CONCURRENCY_LIMIT max_retries`

// TestDocumentedOptions: every documented option is known: it opens a store, or is refused with a reason that is not its name.
func TestDocumentedOptions(t *testing.T) {
	for _, name := range strings.Fields(documented) {
		options := map[string]string{"account_name": "account", "account_key": key}
		options[name] = "1"
		if _, err := (azurestore.Opener{}).Open(t.Context(), "az://container/prefix", options); err != nil && strings.Contains(err.Error(), "not known") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"azure_storage_acount_name", "aws_region", "account"} {
		if _, err := (azurestore.Opener{}).Open(t.Context(), "az://container", map[string]string{name: "CANARY"}); err == nil || !strings.Contains(err.Error(), strings.ToUpper(name)) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFederatedToken needs the file and who it is for when a store is opened, or when it is first used.
func TestFederatedToken(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("CANARY-jwt"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := azurestore.Opener{}.Open(t.Context(), "az://container", map[string]string{"account_name": "account", "AZURE_FEDERATED_TOKEN_FILE": token})
	if err == nil || !strings.Contains(err.Error(), "AZURE_FEDERATED_TOKEN_FILE") || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("%v", err)
	}
	if _, err := (azurestore.Opener{}).Open(t.Context(), "az://container", map[string]string{"account_name": "account", "AZURE_FEDERATED_TOKEN_FILE": token, "azure_client_id": "id", "azure_tenant_id": "tenant"}); err != nil {
		t.Error(err)
	}
}

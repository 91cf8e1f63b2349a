// Package azurestore opens az:// and abfss:// URLs as drivers of package objstore, on Azure Blob Storage.
//
// Conditional creation is If-None-Match on one Put Blob that is sent once, so that ErrExists is always another writer's object; every other
// failure of it is ambiguous. Objects keep their keys byte for byte; a key with a backslash, of which the service makes a slash, is refused.
// Errors never show credentials.
package azurestore

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// Opener opens Azure URLs. Getenv finds the settings that the options leave out, nil = only the SDK's own look at its environment.
type Opener struct {
	Getenv func(string) string
	// Transport sends the requests to the service; nil = one of its own.
	Transport http.RoundTripper
}

var _ objstore.Opener = Opener{}

// Schemes are the spellings of delta-rs, Hadoop and gocloud.dev.
func (Opener) Schemes() []string {
	return []string{"az", "azure", "adl", "abfs", "abfss", "azblob", "wasb", "wasbs"}
}

// The account and key of the storage emulator, which are the same everywhere and no secret.
const (
	emulatorAccount = "devstoreaccount1"
	emulatorKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Open returns a driver of the container, rooted at the URL's path: az://container/path, or abfss://container@account.dfs.core.windows.net/path.
// Options have the names of delta-rs (AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_CLIENT_ID ...);
// without credentials in them Azure's default ones are used.
func (o Opener) Open(_ context.Context, raw string, options map[string]string) (objstore.Driver, error) {
	loc, err := service.ParseLocation(raw)
	if err != nil {
		return nil, err
	}
	s := settings{Settings: service.NewSettings(options, o.Getenv, "azure_"), azurite: "http://127.0.0.1:10000"}
	if o.Getenv != nil {
		s.azurite = cmp.Or(o.Getenv("AZURITE_BLOB_STORAGE_URL"), s.azurite)
	}
	if err := s.Check(names); err != nil {
		return nil, err
	}
	p, err := s.place(loc)
	if err != nil {
		return nil, err
	}
	parallel, err := s.Parallel()
	if err != nil {
		return nil, err
	}
	base := o.Transport
	if base == nil { // one of its own, so that Close closes no connections of others
		base = http.DefaultTransport.(*http.Transport).Clone()
	}
	web := &http.Client{Transport: service.Transport(base, parallel)}
	client, err := s.client(p, web)
	if err != nil {
		return nil, fmt.Errorf("open az://%s: %w", p.container, service.Redact(err, s.secrets()...))
	}
	return objstore.Below(&driver{client: client, idle: web.CloseIdleConnections, service: serviceOf(client.URL()), container: p.container, secrets: s.secrets()}, loc.Prefix), nil
}

// serviceOf is a container's URL up to its query, which may hold a signature.
func serviceOf(where string) string {
	where, _, _ = strings.Cut(where, "?")
	return where
}

type settings struct {
	service.Settings
	azurite string // where an emulator is
}

func (s settings) key() string {
	return s.Get("azure_storage_account_key", "azure_storage_access_key", "azure_storage_master_key", "azure_storage_key", "account_key", "access_key", "master_key")
}

func (s settings) sas() string {
	return strings.TrimPrefix(s.Get("azure_storage_sas_token", "azure_storage_sas_key", "sas_token", "sas_key"), "?")
}

func (s settings) clientSecret() string {
	return s.Get("azure_storage_client_secret", "azure_client_secret", "client_secret")
}

func (s settings) token() string {
	return s.Get("azure_storage_token", "bearer_token", "token")
}

// secrets are the values that no message may show.
func (s settings) secrets() []string {
	return []string{s.key(), s.sas(), s.clientSecret(), s.token(), s.Get("azure_storage_connection_string")}
}

// place is an account's service and a container in it.
type place struct{ service, account, container string }

func (s settings) place(loc service.Location) (place, error) {
	p := place{container: loc.Bucket, account: s.Get("azure_storage_account_name", "azure_storage_account", "account_name")}
	if loc.User != "" { // container@account.domain
		p.container = loc.User
		p.account, _, _ = strings.Cut(loc.Bucket, ".")
	}
	for param, values := range loc.Query {
		if param != "storage_account" {
			return p, fmt.Errorf("store URL az://%s: unknown query parameter %q", p.container, param)
		}
		p.account = values[0]
	}
	emulator, err := s.Bool("azure_storage_use_emulator", "object_store_use_emulator", "use_emulator")
	if err != nil {
		return p, err
	}
	endpoint := s.Get("azure_storage_endpoint", "azure_endpoint", "endpoint")
	if emulator {
		if endpoint == "" {
			endpoint = strings.TrimSuffix(s.azurite, "/") + "/" + emulatorAccount
		}
		p.account = emulatorAccount
	}
	if p.account == "" && s.Get("azure_storage_connection_string") == "" {
		return p, fmt.Errorf("store URL az://%s: no storage account: set the storage option AZURE_STORAGE_ACCOUNT_NAME", p.container)
	}
	if endpoint == "" {
		if p.account != "" {
			p.service = "https://" + p.account + ".blob.core.windows.net"
		}
		return p, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "http" && u.Scheme != "https" {
		return p, fmt.Errorf("storage option AZURE_STORAGE_ENDPOINT: want https://host/account without credentials")
	}
	plain, err := s.Bool("azure_allow_http", "allow_http")
	if err != nil {
		return p, err
	}
	if u.Scheme == "http" && !plain && !emulator {
		return p, fmt.Errorf("the Azure endpoint %s is not encrypted: set the storage option AZURE_ALLOW_HTTP to true if that is meant", endpoint)
	}
	p.service = strings.TrimSuffix(endpoint, "/")
	return p, nil
}

// client signs with what the options give: a key, a SAS, a token, an application's secret, a connection string, nothing, and else with what
// the SDK finds on the machine.
func (s settings) client(p place, client *http.Client) (*container.Client, error) {
	anonymous, err := s.Bool("azure_skip_signature", "skip_signature")
	if err != nil {
		return nil, err
	}
	opts := &container.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: reachable{client}, Telemetry: policy.TelemetryOptions{ApplicationID: "metaxy-delta"}}}
	where := p.service + "/" + url.PathEscape(p.container)
	key := s.key()
	if key == "" && p.account == emulatorAccount && strings.HasPrefix(p.service, "http://127.0.0.1") {
		key = emulatorKey
	}
	opts.InsecureAllowCredentialWithHTTP = strings.HasPrefix(p.service, "http://")
	tenant := s.Get("azure_storage_tenant_id", "azure_storage_authority_id", "azure_tenant_id", "azure_authority_id", "tenant_id", "authority_id")
	id := s.Get("azure_storage_client_id", "azure_client_id", "client_id")
	switch connection := s.Get("azure_storage_connection_string"); {
	case anonymous:
		return container.NewClientWithNoCredential(where, opts)
	case key != "":
		cred, err := container.NewSharedKeyCredential(p.account, key)
		if err != nil {
			return nil, fmt.Errorf("storage option AZURE_STORAGE_ACCOUNT_KEY: %w", err)
		}
		return container.NewClientWithSharedKeyCredential(where, cred, opts)
	case s.sas() != "":
		return container.NewClientWithNoCredential(where+"?"+s.sas(), opts)
	case s.token() != "":
		return container.NewClient(where, fixedToken(s.token()), opts)
	case connection != "":
		return container.NewClientFromConnectionString(connection, p.container, opts)
	case id != "" && s.clientSecret() != "" && tenant != "":
		cred, err := azidentity.NewClientSecretCredential(tenant, id, s.clientSecret(), nil)
		if err != nil {
			return nil, err
		}
		return container.NewClient(where, lookedUp{cred}, opts)
	}
	if file := s.Only("azure_federated_token_file", "federated_token_file"); file != "" {
		cred, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientID: id, TenantID: tenant, TokenFilePath: file})
		if err != nil {
			return nil, fmt.Errorf("storage option AZURE_FEDERATED_TOKEN_FILE: %w", err)
		}
		return container.NewClient(where, lookedUp{cred}, opts)
	}
	var cred azcore.TokenCredential
	if cli, err := s.Bool("azure_use_azure_cli", "use_azure_cli"); err != nil {
		return nil, err
	} else if cli {
		cred, err = azidentity.NewAzureCLICredential(nil)
		if err != nil {
			return nil, err
		}
	} else if cred, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{TenantID: tenant}); err != nil {
		return nil, err
	}
	return container.NewClient(where, lookedUp{cred}, opts)
}

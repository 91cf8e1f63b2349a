// Package gcsstore opens gs:// URLs as drivers of package objstore, on Google Cloud Storage.
//
// Conditional creation is DoesNotExist on one upload that is sent once, so that ErrExists is always another writer's object; every other
// failure of it is ambiguous. A refused call is fs.ErrPermission, never a missing object. Errors never show credentials.
package gcsstore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/option"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// Opener opens GCS URLs. Getenv finds the settings that the options leave out, nil = only Google's own look at the environment.
type Opener struct {
	Getenv func(string) string
	// Transport sends the requests to the service; nil = one of its own.
	Transport http.RoundTripper
}

var _ objstore.Opener = Opener{}

// Schemes are gs and gcs.
func (Opener) Schemes() []string { return []string{"gs", "gcs"} }

// retries bounds how often the SDK repeats a call that may be repeated; by itself it would go on until the context ends.
const retries = 5

// Open returns a driver of the bucket, rooted at the URL's path. Options have the names of delta-rs (GOOGLE_SERVICE_ACCOUNT,
// GOOGLE_SERVICE_ACCOUNT_KEY, GOOGLE_SKIP_SIGNATURE ...); without them Google's default credentials are used, and having none is an error.
// STORAGE_EMULATOR_HOST, asked of Getenv, names an emulator.
func (o Opener) Open(ctx context.Context, raw string, options map[string]string) (objstore.Driver, error) {
	loc, err := service.ParseLocation(raw)
	if err != nil {
		return nil, err
	}
	if loc.User != "" {
		return nil, fmt.Errorf("store URL gs://%s: credentials do not belong into a URL, give them as storage options", loc.Bucket)
	}
	s := service.NewSettings(options, o.Getenv, "google_")
	if err := s.Check(names); err != nil {
		return nil, err
	}
	a, err := readAccount(s)
	if err != nil {
		return nil, err
	}
	for param, values := range loc.Query {
		if param != "anonymous" {
			return nil, fmt.Errorf("store URL gs://%s: unknown query parameter %q", loc.Bucket, param)
		}
		a.anonymous = values[0] == "true"
	}
	if a.base == "" && o.Getenv != nil {
		a.base = o.Getenv("STORAGE_EMULATOR_HOST")
		a.anonymous = a.anonymous || a.base != ""
	}
	base := o.Transport
	if base == nil {
		base = ownTransport()
	}
	transport := protocol{service.Transport(base, a.parallel)}
	client, err := a.client(context.WithoutCancel(ctx), transport) // tokens are renewed long after Open
	if err != nil {
		return nil, fmt.Errorf("open gs://%s: %w", loc.Bucket, service.Redact(err, a.secrets...))
	}
	client.SetRetry(storage.WithMaxAttempts(retries), storage.WithBackoff(gax.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Multiplier: 2}))
	d := &driver{client: client, bucket: client.Bucket(loc.Bucket), idle: (&http.Client{Transport: transport}).CloseIdleConnections, endpoint: a.base, name: loc.Bucket, secrets: a.secrets}
	return objstore.Below(d, loc.Prefix), nil
}

// account is what a client is made from: a key file's text, or nothing for the default, and where the service is.
type account struct {
	key       []byte
	anonymous bool
	base      string
	token     string
	secrets   []string
	parallel  int
}

func readAccount(s service.Settings) (account, error) {
	var a account
	anonymous, err := s.Bool("google_skip_signature", "skip_signature")
	if err != nil {
		return a, err
	}
	a.anonymous = anonymous
	if a.parallel, err = s.Parallel(); err != nil {
		return a, err
	}
	a.token = s.Get("google_bearer_token", "bearer_token")
	a.secrets = []string{a.token}
	a.base = s.Get("google_base_url", "base_url", "google_endpoint", "endpoint")
	key := s.Get("google_service_account_key", "service_account_key")
	path := s.Get("google_service_account", "service_account", "google_service_account_path", "service_account_path", "google_application_credentials", "application_credentials")
	switch {
	case key != "" && path != "":
		return a, fmt.Errorf("storage options GOOGLE_SERVICE_ACCOUNT and GOOGLE_SERVICE_ACCOUNT_KEY exclude each other")
	case key != "":
		a.key = []byte(key)
	case path != "":
		if a.key, err = os.ReadFile(path); err != nil {
			return a, fmt.Errorf("storage option GOOGLE_SERVICE_ACCOUNT: %w", err)
		}
	}
	if a.key == nil {
		return a, nil
	}
	var known struct {
		PrivateKey   string `json:"private_key"`
		RefreshToken string `json:"refresh_token"`
		ClientSecret string `json:"client_secret"`
		BaseURL      string `json:"gcs_base_url"`
		DisableOAuth bool   `json:"disable_oauth"`
	}
	if err := json.Unmarshal(a.key, &known); err != nil {
		return a, fmt.Errorf("storage options: the service account is no JSON object") // the error itself would repeat the text
	}
	a.secrets = []string{a.token, string(a.key), known.PrivateKey, known.RefreshToken, known.ClientSecret}
	a.anonymous = a.anonymous || known.DisableOAuth
	if a.base == "" {
		a.base = known.BaseURL
	}
	return a, nil
}

// ownTransport is gocloud's, with connections of its own where it is one that can be copied.
func ownTransport() http.RoundTripper {
	t := gcp.DefaultTransport()
	if std, ok := t.(*http.Transport); ok {
		return std.Clone()
	}
	return t
}

func (a account) client(ctx context.Context, transport http.RoundTripper) (*storage.Client, error) {
	var opts []option.ClientOption
	if a.base != "" {
		endpoint, err := endpoint(a.base)
		if err != nil {
			return nil, err
		}
		opts = append(opts, option.WithEndpoint(endpoint))
	}
	var client *gcp.HTTPClient
	switch {
	case a.anonymous:
		client = gcp.NewAnonymousHTTPClient(transport)
	case a.token != "":
		var err error
		if client, err = gcp.NewHTTPClient(transport, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: a.token})); err != nil {
			return nil, err
		}
	default:
		creds, err := a.credentials(ctx)
		if err != nil {
			return nil, err
		}
		tokens := lookedUp{ctx, creds.TokenSource}
		if _, err := tokens.Token(); err != nil { // here, because the client would ask again and again
			return nil, err
		}
		if client, err = gcp.NewHTTPClient(transport, tokens); err != nil {
			return nil, err
		}
	}
	return storage.NewClient(ctx, append(opts, option.WithHTTPClient(&http.Client{Transport: client.Transport}))...)
}

func (a account) credentials(ctx context.Context) (*google.Credentials, error) {
	if a.key == nil {
		return service.LookUp(ctx, gcp.DefaultCredentials)
	}
	var kind struct {
		Type google.CredentialsType `json:"type"`
	}
	if err := json.Unmarshal(a.key, &kind); err != nil {
		return nil, err
	}
	switch kind.Type {
	case google.ServiceAccount, google.AuthorizedUser: // others name a URL to ask, which only the machine's own configuration may do
	default:
		return nil, fmt.Errorf("storage options: a service account of type %q is not served; set GOOGLE_APPLICATION_CREDENTIALS in the environment", kind.Type)
	}
	return google.CredentialsFromJSONWithType(ctx, a.key, kind.Type, storage.ScopeReadWrite)
}

// endpoint is the JSON interface of a server given by URL or host:port.
func endpoint(base string) (string, error) {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("storage option GOOGLE_BASE_URL: want http://host:port or https://host")
	}
	if u.Path = strings.TrimSuffix(u.Path, "/"); u.Path == "" {
		u.Path = "/storage/v1"
	}
	return u.String() + "/", nil
}

package s3store_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

// documented are the options that the documentation of delta-rs and of the object_store library below it names for S3.
const documented = `
access_key_id aws_access_key_id secret_access_key aws_secret_access_key session_token aws_session_token token aws_token
region aws_region default_region aws_default_region bucket aws_bucket bucket_name aws_bucket_name
endpoint aws_endpoint endpoint_url aws_endpoint_url aws_endpoint_url_s3 aws_endpoint_url_sts endpoint_url_sts
imdsv1_fallback aws_imdsv1_fallback virtual_hosted_style_request aws_virtual_hosted_style_request unsigned_payload aws_unsigned_payload
checksum_algorithm aws_checksum_algorithm metadata_endpoint aws_metadata_endpoint container_credentials_relative_uri aws_container_credentials_relative_uri
container_credentials_full_uri aws_container_credentials_full_uri container_authorization_token_file aws_container_authorization_token_file
web_identity_token_file aws_web_identity_token_file role_arn aws_role_arn role_session_name aws_role_session_name
copy_if_not_exists aws_copy_if_not_exists conditional_put aws_conditional_put skip_signature aws_skip_signature disable_tagging aws_disable_tagging
disable_bulk_delete aws_disable_bulk_delete s3_express aws_s3_express request_payer aws_request_payer
server_side_encryption aws_server_side_encryption sse_kms_key_id aws_sse_kms_key_id sse_bucket_key_enabled aws_sse_bucket_key_enabled sse_customer_key_base64 aws_sse_customer_key_base64
allow_http aws_allow_http allow_invalid_certificates connect_timeout default_content_type disable_system_certificates http1_only http2_only http2_keep_alive_interval http2_keep_alive_timeout
http2_keep_alive_while_idle http2_max_frame_size pool_idle_timeout pool_max_idle_per_host proxy_url proxy_ca_certificate proxy_excludes randomize_addresses read_timeout timeout user_agent
AWS_ENDPOINT_URL_DYNAMODB AWS_REGION_DYNAMODB AWS_ACCESS_KEY_ID_DYNAMODB AWS_SECRET_ACCESS_KEY_DYNAMODB AWS_SESSION_TOKEN_DYNAMODB AWS_PROFILE AWS_S3_ADDRESSING_STYLE AWS_S3_LOCKING_PROVIDER
AWS_IAM_ROLE_ARN AWS_S3_ASSUME_ROLE_ARN AWS_IAM_ROLE_SESSION_NAME AWS_S3_ROLE_SESSION_NAME AWS_S3_POOL_IDLE_TIMEOUT_SECONDS AWS_STS_POOL_IDLE_TIMEOUT_SECONDS
AWS_S3_GET_INTERNAL_SERVER_ERROR_RETRIES AWS_S3_ALLOW_UNSAFE_RENAME AWS_EC2_METADATA_DISABLED AWS_EC2_METADATA_TIMEOUT AWS_FORCE_CREDENTIAL_LOAD
DELTA_DYNAMO_TABLE_NAME DELTA_DYNAMO_BILLING_MODE DELTA_DYNAMO_MAX_ELAPSED_REQUEST_TIME OBJECT_STORE_CONCURRENCY_LIMIT max_retries retry_timeout`

// TestDocumentedOptions: every documented option is known: it opens a store, or is refused with a reason that is not its name.
func TestDocumentedOptions(t *testing.T) {
	for _, name := range strings.Fields(documented) {
		_, err := s3store.Opener{}.Open(t.Context(), "s3://bucket/prefix", map[string]string{name: "1"})
		if err != nil && strings.Contains(err.Error(), "not known") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"aws_regon", "google_service_account", "endpoint_uri"} {
		if _, err := (s3store.Opener{}).Open(t.Context(), "s3://bucket", map[string]string{name: "CANARY"}); err == nil || !strings.Contains(err.Error(), strings.ToUpper(name)) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOptionsAreSent looks at what a request becomes of the options that change it.
func TestOptionsAreSent(t *testing.T) {
	s := start(t)
	var last atomic.Pointer[http.Request]
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		last.Store(r.Clone(t.Context()))
		next.ServeHTTP(w, r)
	})
	for name, c := range map[string]struct {
		options map[string]string
		want    func(r *http.Request) bool
	}{
		"id and region": {nil, func(r *http.Request) bool {
			return strings.Contains(r.Header.Get("Authorization"), "Credential=CANARY-id/") && strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/s3/")
		}},
		"session token": {map[string]string{"token": "CANARY-token"}, func(r *http.Request) bool { return r.Header.Get("X-Amz-Security-Token") == "CANARY-token" }},
		"no signature":  {map[string]string{"AWS_SKIP_SIGNATURE": "true"}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "" }},
		"encryption": {map[string]string{"server_side_encryption": "aws:kms", "AWS_SSE_KMS_KEY_ID": "key", "aws_sse_bucket_key_enabled": "true"}, func(r *http.Request) bool {
			return r.Header.Get("X-Amz-Server-Side-Encryption") == "aws:kms" && r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") == "key" && r.Header.Get("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled") == "true"
		}},
		"path and prefix": {nil, func(r *http.Request) bool { return r.URL.Path == "/bucket/some/prefix/k" }},
	} {
		options := s.options()
		for k, v := range c.options {
			options[k] = v
		}
		d, err := s3store.Opener{}.Open(t.Context(), "s3://bucket/some/prefix/", options)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := d.PutIfAbsent(t.Context(), "k", []byte("x")); err == nil {
			if err := d.Delete(t.Context(), []string{"k"}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := d.Put(t.Context(), "k", strings.NewReader("x")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r := last.Load(); r == nil || !c.want(r) {
			t.Errorf("%s: sent %v %v", name, r.URL, r.Header)
		}
	}
	options := s.options() // and none that deletes many
	options["aws_disable_bulk_delete"] = "true"
	d, err := s3store.Opener{}.Open(t.Context(), "s3://bucket", options)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), []string{"a", "b"}); err != nil || last.Load().Method != http.MethodDelete {
		t.Errorf("%v, %s", err, last.Load().Method)
	}
}

// TestWebIdentity exchanges a token in a file for credentials of a role before the first request.
func TestWebIdentity(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("CANARY-jwt"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s3store.Opener{}.Open(t.Context(), "s3://bucket", map[string]string{"aws_web_identity_token_file": token, "aws_role_arn": "role"})
	if err == nil || !strings.Contains(err.Error(), "arn:") {
		t.Errorf("a role that is no ARN: %v", err)
	}
	_, err = s3store.Opener{}.Open(t.Context(), "s3://bucket", map[string]string{"aws_web_identity_token_file": token})
	if err == nil || !strings.Contains(err.Error(), "AWS_ROLE_ARN") {
		t.Errorf("no role: %v", err)
	}
	s := start(t)
	var asked atomic.Pointer[string]
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost && r.FormValue("Action") == "AssumeRoleWithWebIdentity" {
			said := r.FormValue("RoleArn") + " " + r.FormValue("WebIdentityToken") + " " + r.FormValue("RoleSessionName")
			asked.Store(&said)
			w.Write([]byte(`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>CANARY-temporary</AccessKeyId><SecretAccessKey>CANARY-s</SecretAccessKey><SessionToken>CANARY-t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`))
			return
		}
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=CANARY-temporary/") {
			http.Error(w, "signed by another", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
	t.Setenv("AWS_ENDPOINT_URL_STS", s.url)
	d, err := s3store.Opener{}.Open(t.Context(), "s3://bucket", map[string]string{"AWS_ENDPOINT_URL": s.url, "aws_allow_http": "true", "aws_region": "eu-west-1",
		"aws_web_identity_token_file": token, "aws_role_arn": "arn:aws:iam::1:role/r", "aws_role_session_name": "session"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.PutIfAbsent(t.Context(), "k", nil); err != nil {
		t.Error(err)
	}
	if got := asked.Load(); got == nil || *got != "arn:aws:iam::1:role/r CANARY-jwt session" {
		t.Errorf("asked for %v", got)
	}
}

// Package s3store opens s3:// URLs as drivers of package objstore, on Amazon S3 and services that speak its protocol.
//
// Conditional creation is If-None-Match on one PutObject that is sent once, so that ErrExists is always another writer's object; every
// other failure of it is ambiguous. Objects keep their keys byte for byte. Errors never show credentials.
package s3store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// Opener opens S3 URLs. Getenv finds the settings that the options leave out, nil = only the SDK's own look at its environment and files.
type Opener struct {
	Getenv func(string) string
	// Transport sends the requests to the service; nil = one of its own.
	Transport http.RoundTripper
}

var _ objstore.Opener = Opener{}

// Schemes are s3 and the spellings that Hadoop uses.
func (Opener) Schemes() []string { return []string{"s3", "s3a", "s3n"} }

// uploadAttempts is how often a request of an upload is sent: nobody above repeats one, because its body is gone.
const uploadAttempts = 6

// Open returns a driver of the bucket, rooted at the URL's path. Options have the names of delta-rs (AWS_REGION, AWS_ENDPOINT_URL,
// AWS_ALLOW_HTTP ...), query parameters those of gocloud.dev (region, profile, role, endpoint ...). A plain-text endpoint needs
// AWS_ALLOW_HTTP; a DynamoDB lock is refused, because its writers would not see ours.
func (o Opener) Open(ctx context.Context, raw string, options map[string]string) (objstore.Driver, error) {
	loc, err := service.ParseLocation(raw)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(loc.Bucket, "--x-s3") {
		return nil, fmt.Errorf("store URL s3://%s: directory buckets do not list in order; use a general purpose bucket", loc.Bucket)
	}
	if loc.User != "" {
		return nil, fmt.Errorf("store URL s3://%s: credentials do not belong into a URL, give them as storage options", loc.Bucket)
	}
	s := settings{service.NewSettings(options, o.Getenv, "aws_")}
	if err := s.Check(names); err != nil {
		return nil, err
	}
	if err := s.refuse(); err != nil {
		return nil, err
	}
	endpoint, err := s.endpoint(loc)
	if err != nil {
		return nil, err
	}
	cfg, err := s.config(ctx, loc, endpoint, o.Transport)
	if err != nil {
		return nil, fmt.Errorf("open s3://%s: %w", loc.Bucket, service.Redact(err, s.secrets()...))
	}
	virtual, err := s.Bool("aws_virtual_hosted_style_request", "virtual_hosted_style_request")
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(s.Get("aws_s3_addressing_style", "s3_addressing_style"), "virtual") {
		virtual = true
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
			o.UsePathStyle = !virtual
		}
	})
	unsafe, err := s.Bool("aws_s3_allow_unsafe_rename", "allow_unsafe_rename")
	if err != nil {
		return nil, err
	}
	d := newDriver(client, loc.Bucket)
	d.unproven, d.secrets = endpoint != "" && !unsafe, s.secrets()
	d.sse, d.kmsKey = s.Get("aws_server_side_encryption", "server_side_encryption"), s.Get("aws_sse_kms_key_id", "sse_kms_key_id")
	if !slices.Contains(encryptions, d.sse) {
		return nil, fmt.Errorf("storage option AWS_SERVER_SIDE_ENCRYPTION: %q is not served; want one of %s", d.sse, strings.Join(encryptions[1:], ", "))
	}
	if d.checksum = strings.ToUpper(s.Get("aws_checksum_algorithm", "checksum_algorithm")); !slices.Contains(checksums, d.checksum) {
		return nil, fmt.Errorf("storage option AWS_CHECKSUM_ALGORITHM: %q is not served; want one of %s", d.checksum, strings.Join(checksums[1:], ", "))
	}
	if d.bucketKey, err = s.Bool("aws_sse_bucket_key_enabled", "sse_bucket_key_enabled"); err != nil {
		return nil, err
	}
	if d.oneByOne, err = s.Bool("aws_disable_bulk_delete", "disable_bulk_delete"); err != nil {
		return nil, err
	}
	return objstore.Below(d, loc.Prefix), nil
}

// New returns a driver of a bucket over a client that the caller has
// configured, such as s3.NewFromConfig(cfg): its credentials, endpoint, retries
// and transport are used, no options or variables are looked at, and what it
// keeps open stays open. Requests are not bounded in number or in how long they
// stand still. The client may be of any service, so that the first create is
// preceded by a proof that creates are conditional; without one it is
// objstore.ErrNotAtomic. prefix is the folder that is the root, "" = the
// bucket.
func New(client *s3.Client, bucket, prefix string) objstore.Driver {
	d := newDriver(client, bucket)
	d.unproven, d.idle = true, func() {}
	return objstore.Below(d, prefix)
}

// newDriver adds to a client what the driver relies on.
func newDriver(client *s3.Client, bucket string) *driver {
	o := client.Options()
	d := &driver{bucket: bucket, endpoint: aws.ToString(o.BaseEndpoint), idle: func() {}}
	if c, ok := o.HTTPClient.(*http.Client); ok {
		d.idle = c.CloseIdleConnections
	}
	d.client = s3.New(o, func(o *s3.Options) {
		o.DisableLogOutputChecksumValidationSkipped = true
		o.APIOptions = append(slices.Clone(o.APIOptions), checkProtocol)
	})
	persistent := s3.New(d.client.Options(), func(o *s3.Options) { o.RetryMaxAttempts = uploadAttempts })
	d.upload = transfermanager.New(persistent, func(t *transfermanager.Options) { t.RequestChecksumCalculation = o.RequestChecksumCalculation })
	return d
}

// The values of options that name one of several ways; the first is none.
var (
	encryptions = []string{"", "AES256", "aws:kms", "aws:kms:dsse"}
	checksums   = []string{"", "SHA256", "SHA1", "CRC32", "CRC32C", "CRC64NVME"}
)

type settings struct{ service.Settings }

// secrets are the values that no message may show.
func (s settings) secrets() []string {
	return []string{
		s.Get("aws_secret_access_key", "secret_access_key"), s.Get("aws_session_token", "aws_token", "session_token", "token"),
		s.Get("aws_access_key_id", "access_key_id"),
	}
}

// refuse says no to options that ask for another way of committing.
func (s settings) refuse() error {
	if v := s.Get("aws_s3_locking_provider", "locking_provider"); strings.EqualFold(v, "dynamodb") {
		return fmt.Errorf("storage option AWS_S3_LOCKING_PROVIDER=%s: this program commits by conditional writes and would not take that lock; remove the option for all writers of the table", v)
	}
	if v := s.Get("aws_conditional_put", "conditional_put"); v != "" && !strings.HasPrefix(strings.ToLower(v), "etag") {
		return fmt.Errorf("storage option AWS_CONDITIONAL_PUT=%s: only etag is served", v)
	}
	return nil
}

// endpoint is the service's URL, "" for Amazon's own.
func (s settings) endpoint(loc service.Location) (string, error) {
	e := loc.Query.Get("endpoint")
	if e == "" {
		e = s.Get("aws_endpoint_url_s3", "aws_endpoint_url", "aws_endpoint", "endpoint_url", "endpoint")
	}
	if e == "" {
		return "", nil
	}
	u, err := url.Parse(e)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("storage option AWS_ENDPOINT_URL: want http://host:port or https://host:port")
	}
	if u.User != nil {
		return "", fmt.Errorf("storage option AWS_ENDPOINT_URL: credentials do not belong into a URL")
	}
	plain, err := s.Bool("aws_allow_http", "allow_http")
	if err != nil {
		return "", err
	}
	if u.Scheme == "http" && !plain {
		return "", fmt.Errorf("the S3 endpoint %s is not encrypted: set the storage option AWS_ALLOW_HTTP to true if that is meant", e)
	}
	u.Host = strings.TrimPrefix(u.Host, loc.Bucket+".") // delta-rs wants the bucket in the endpoint of virtual hosts, the SDK adds it
	return u.String(), nil
}

// config finds credentials and region: options first, then what the SDK finds in its environment, its files and the machine's role.
func (s settings) config(ctx context.Context, loc service.Location, endpoint string, transport http.RoundTripper) (aws.Config, error) {
	q := loc.Query
	q.Del("endpoint")
	set := func(param, value string) {
		if value != "" && q.Get(param) == "" {
			q.Set(param, value)
		}
	}
	set("region", s.Get("aws_region", "region", "aws_default_region", "default_region"))
	profiled := q.Get("profile") != "" || s.Only("aws_profile", "profile") != ""
	set("profile", s.Get("aws_profile", "profile"))
	role := q.Get("role")
	q.Del("role")
	if anonymous, err := s.Bool("aws_skip_signature", "skip_signature"); err != nil {
		return aws.Config{}, err
	} else if anonymous {
		set("anonymous", "true")
	}
	cfg, err := load(ctx, q)
	if err != nil {
		return aws.Config{}, err
	}
	cfg.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	if endpoint != "" && !strings.EqualFold(s.Get("aws_request_checksum_calculation"), "when_supported") {
		cfg.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	}
	cfg.Retryer = patient
	get := s.Get
	if profiled { // keys of the environment are not those of a profile that is named here
		get = s.Only
	}
	id, secret := get("aws_access_key_id", "access_key_id"), get("aws_secret_access_key", "secret_access_key")
	switch {
	case (id == "") != (secret == ""):
		return aws.Config{}, fmt.Errorf("storage options AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together, only one is set")
	case id != "" && q.Get("anonymous") != "true":
		token := get("aws_session_token", "aws_token", "session_token", "token")
		cfg.Credentials = aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(id, secret, token))
	case q.Get("anonymous") != "true":
		cfg.Credentials = lookedUp{cfg.Credentials}
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if err := s.assume(&cfg, role); err != nil {
		return aws.Config{}, err
	}
	parallel, err := s.Parallel()
	if err != nil {
		return aws.Config{}, err
	}
	if transport == nil {
		base := awshttp.NewBuildableClient()
		if loaded, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok { // which has the certificates of the SDK's settings
			base = loaded
		}
		transport = base.GetTransport()
	}
	cfg.HTTPClient = &http.Client{Transport: service.Transport(transport, parallel), CheckRedirect: redirect}
	return cfg, nil
}

// patient also tries requests again that were refused because there were too many, under whatever name.
func patient() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(unreachable)}, retry.DefaultRetryables...)
		o.Retryables = append(o.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}, http.StatusRequestTimeout: {}}})
	})
}

// unreachable keeps the client from waiting for a service that is not there: one
// that refuses connections, or whose name is unknown. Our own tries, which follow
// each other closely, meet one that is being started.
func unreachable(err error) aws.Ternary {
	var name *net.DNSError
	if errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &name) && name.IsNotFound {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// redirect follows only those answers that want the same request elsewhere; another one would not be what was signed.
func redirect(r *http.Request, _ []*http.Request) error {
	if status := r.Response.StatusCode; status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect {
		return nil
	}
	return http.ErrUseLastResponse
}

// assume takes on a role where the options or the URL name one, with the credentials so far, or with a token in a file.
func (s settings) assume(cfg *aws.Config, role string) error {
	plain := cmp.Or(role, s.Get("aws_iam_role_arn", "iam_role_arn", "aws_s3_assume_role_arn", "s3_assume_role_arn"))
	byToken, file := s.Settings.Only("aws_role_arn", "role_arn"), s.Settings.Only("aws_web_identity_token_file", "web_identity_token_file")
	session := s.Get("aws_iam_role_session_name", "iam_role_session_name", "aws_s3_role_session_name", "s3_role_session_name", "aws_role_session_name", "role_session_name")
	if arn := cmp.Or(plain, byToken); arn != "" && !strings.HasPrefix(arn, "arn:") {
		return fmt.Errorf("role %q: want an ARN, such as arn:aws:iam::123456789012:role/name", arn)
	}
	var p aws.CredentialsProvider
	switch {
	case file != "" && cmp.Or(byToken, plain) == "":
		return fmt.Errorf("storage option AWS_WEB_IDENTITY_TOKEN_FILE needs AWS_ROLE_ARN, too")
	case file != "":
		p = stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(*cfg), cmp.Or(byToken, plain), stscreds.IdentityTokenFile(file), func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = session })
	case cmp.Or(plain, byToken) != "":
		p = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(*cfg), cmp.Or(plain, byToken), func(o *stscreds.AssumeRoleOptions) {
			if session != "" {
				o.RoleSessionName = session
			}
		})
	default:
		return nil
	}
	cfg.Credentials = lookedUp{aws.NewCredentialsCache(p)}
	return nil
}

package s3store

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
)

// load lets the SDK look for credentials and settings in its environment, its files and the machine's role. The parameters are those
// of gocloud.dev's S3 URLs; its own loader is not used because the clients that look for credentials would log to stderr.
func load(ctx context.Context, q url.Values) (aws.Config, error) {
	opts := []func(*awsconfig.LoadOptions) error{awsconfig.WithLogger(logging.Nop{})}
	for param := range q {
		value := q.Get(param)
		switch param {
		case "region":
			opts = append(opts, awsconfig.WithRegion(value))
		case "profile":
			opts = append(opts, awsconfig.WithSharedConfigProfile(value))
		case "anonymous", "dualstack", "fips":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return aws.Config{}, fmt.Errorf("query parameter %s=%q: want true or false", param, value)
			}
			if on {
				opts = append(opts, switches[param])
			}
		default:
			return aws.Config{}, fmt.Errorf("query parameter %q is not known (known: anonymous, dualstack, endpoint, fips, profile, region, role)", param)
		}
	}
	return awsconfig.LoadDefaultConfig(ctx, opts...)
}

// switches are what the parameters that may be true turn on.
var switches = map[string]func(*awsconfig.LoadOptions) error{
	"anonymous": awsconfig.WithCredentialsProvider(aws.AnonymousCredentials{}),
	"dualstack": awsconfig.WithUseDualStackEndpoint(aws.DualStackEndpointStateEnabled),
	"fips":      awsconfig.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled),
}

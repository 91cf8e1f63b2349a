package service_test

import (
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

func TestCheckOptions(t *testing.T) {
	names := service.Names{Prefix: "aws_", Served: []string{"region", "secret_access_key"}, Unused: []string{"bucket"}, Refused: map[string]string{"s3_express": "use a general purpose bucket"}}
	for name, c := range map[string]struct {
		options map[string]string
		want    []string // parts of the error, none = it is fine
	}{
		"none":             {nil, nil},
		"served":           {map[string]string{"AWS_REGION": "x", "region": "x"}, nil},
		"of every client":  {map[string]string{"timeout": "30s", "AWS_ALLOW_HTTP": "true", "OBJECT_STORE_CONCURRENCY_LIMIT": "5", "aws_connect_timeout": "5s"}, nil},
		"unused":           {map[string]string{"aws_bucket": "b", "BUCKET": "b"}, nil},
		"empty":            {map[string]string{"aws_regoin": ""}, nil},
		"misspelt":         {map[string]string{"AWS_REGOIN": "CANARY"}, []string{"AWS_REGOIN is not known", "AWS_REGION meant"}},
		"of another cloud": {map[string]string{"AZURE_STORAGE_ACCOUNT_KEY": "CANARY"}, []string{"AZURE_STORAGE_ACCOUNT_KEY is not known"}},
		"several":          {map[string]string{"a": "CANARY", "b": "CANARY"}, []string{"option A ", "option B "}},
		"refused":          {map[string]string{"aws_s3_express": "true"}, []string{"AWS_S3_EXPRESS is not served", "general purpose"}},
		"not wanted":       {map[string]string{"s3_express": "false", "allow_invalid_certificates": "0"}, nil},
		"a client's":       {map[string]string{"proxy_url": "http://CANARY@proxy"}, []string{"HTTPS_PROXY"}},
	} {
		err := service.NewSettings(c.options, nil, "aws_").Check(names)
		if (err != nil) != (len(c.want) > 0) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s: %v, want %q and no value", name, err, want)
			}
		}
	}
	for text, want := range map[string]int{"": 0, "7": 7} {
		if n, err := service.NewSettings(map[string]string{"concurrency_limit": text}, nil, "").Parallel(); n != want || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"0", "-1", "many"} {
		if _, err := service.NewSettings(map[string]string{"OBJECT_STORE_CONCURRENCY_LIMIT": text}, nil, "").Parallel(); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

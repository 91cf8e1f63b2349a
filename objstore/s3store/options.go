package s3store

import "github.com/metaxy-delta/metaxy-delta/objstore/service"

// names are the options of delta-rs for S3, and what becomes of them.
var names = service.Names{
	Prefix: "aws_",
	Served: []string{
		"access_key_id", "secret_access_key", "session_token", "token", "region", "default_region", "profile",
		"endpoint_url_s3", "endpoint_url", "endpoint", "virtual_hosted_style_request", "s3_addressing_style", "skip_signature",
		"iam_role_arn", "s3_assume_role_arn", "role_arn", "iam_role_session_name", "s3_role_session_name", "role_session_name", "web_identity_token_file",
		"server_side_encryption", "sse_kms_key_id", "sse_bucket_key_enabled", "disable_bulk_delete",
		"checksum_algorithm", "request_checksum_calculation",
		"s3_allow_unsafe_rename", "allow_unsafe_rename", "s3_locking_provider", "locking_provider", "conditional_put",
	},
	Unused: []string{
		"bucket", "bucket_name", "imdsv1_fallback", "ec2_metadata_disabled", "ec2_metadata_timeout", "force_credential_load",
		"unsigned_payload", "copy_if_not_exists", "disable_tagging", "s3_pool_idle_timeout_seconds", "sts_pool_idle_timeout_seconds", "s3_get_internal_server_error_retries",
		"endpoint_url_dynamodb", "region_dynamodb", "access_key_id_dynamodb", "secret_access_key_dynamodb", "session_token_dynamodb",
		"delta_dynamo_table_name", "delta_dynamo_billing_mode", "delta_dynamo_max_elapsed_request_time",
	},
	Refused: map[string]string{
		"sse_customer_key_base64":            "keys of the customer are not sent; encrypt with AWS_SSE_KMS_KEY_ID",
		"s3_express":                         "directory buckets do not list in order; use a general purpose bucket",
		"request_payer":                      "the requester cannot be made to pay",
		"metadata_endpoint":                  "set AWS_EC2_METADATA_SERVICE_ENDPOINT in the environment",
		"endpoint_url_sts":                   "set AWS_ENDPOINT_URL_STS in the environment",
		"sts_endpoint":                       "set AWS_ENDPOINT_URL_STS in the environment",
		"container_credentials_relative_uri": "set AWS_CONTAINER_CREDENTIALS_RELATIVE_URI in the environment",
		"container_credentials_full_uri":     "set AWS_CONTAINER_CREDENTIALS_FULL_URI in the environment",
		"container_authorization_token_file": "set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE in the environment",
	},
}

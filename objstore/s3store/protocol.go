package s3store

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// errProtocol is an answer that the service does not give.
var errProtocol = service.NotOf("S3")

// roots are the elements that the answers of calls begin with. An Error is one
// of the service whatever the call.
var roots = map[string]string{
	"ListObjectsV2":           "ListBucketResult",
	"ListMultipartUploads":    "ListMultipartUploadsResult",
	"DeleteObjects":           "DeleteResult",
	"CreateMultipartUpload":   "InitiateMultipartUploadResult",
	"CompleteMultipartUpload": "CompleteMultipartUploadResult",
}

// checkProtocol adds a look at each answer to a client, before the SDK reads it.
func checkProtocol(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("MetaxyDeltaProtocol", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleDeserialize(ctx, in)
		resp, ok := out.RawResponse.(*smithyhttp.Response)
		if err != nil || !ok || resp.StatusCode < 200 || resp.StatusCode >= 300 {
			return out, meta, err
		}
		if err := checkAnswer(middleware.GetOperationName(ctx), resp); err != nil {
			resp.Body.Close()
			return out, meta, err
		}
		return out, meta, nil
	}), middleware.After)
}

// checkAnswer reports why an answer that says that all went well does not come
// from S3. It reads no more of the body than the beginning of its first element.
func checkAnswer(operation string, resp *smithyhttp.Response) error {
	want, isXML := roots[operation]
	if !isXML {
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // what cannot be read is no page
		named := resp.Header.Get("Etag") != "" || resp.Header.Get("Last-Modified") != ""
		switch operation {
		case "PutObject", "UploadPart":
			if resp.Header.Get("Etag") == "" && (resp.ContentLength > 0 || kind == "text/html") {
				return fmt.Errorf("%w (an upload answered by %s)", errProtocol, told(resp))
			}
		case "GetObject", "HeadObject":
			if !named && resp.Header.Get("Content-Range") == "" {
				return fmt.Errorf("%w (an object without ETag and date, %s)", errProtocol, told(resp))
			}
		case "DeleteObject":
			if resp.StatusCode != http.StatusNoContent && resp.Header.Get("X-Amz-Request-Id") == "" && resp.Header.Get("X-Amz-Id-2") == "" {
				return fmt.Errorf("%w (a delete answered by %s)", errProtocol, told(resp))
			}
		default:
			if kind == "text/html" {
				return fmt.Errorf("%w (%s)", errProtocol, told(resp))
			}
		}
		return nil
	}
	var seen bytes.Buffer
	root, err := rootElement(io.TeeReader(resp.Body, &seen))
	resp.Body = joined{io.MultiReader(bytes.NewReader(seen.Bytes()), resp.Body), resp.Body}
	switch {
	case root == want || root == "Error":
		return nil
	case err != nil && !errors.Is(err, io.EOF) && !errors.As(err, new(*xml.SyntaxError)):
		return err // the connection broke
	case root == "":
		return fmt.Errorf("%w (want %s, got %s)", errProtocol, want, told(resp))
	}
	return fmt.Errorf("%w (want %s, got %q)", errProtocol, want, root)
}

// told is what an answer says it is.
func told(resp *smithyhttp.Response) string {
	kind := resp.Header.Get("Content-Type")
	if kind == "" {
		kind = "nothing"
	}
	return fmt.Sprintf("%d %s: %s", resp.StatusCode, http.StatusText(resp.StatusCode), kind)
}

// rootElement is the name of the first element.
func rootElement(r io.Reader) (string, error) {
	d := xml.NewDecoder(r)
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // names are ASCII
	for {
		t, err := d.Token()
		if err != nil {
			return "", err
		}
		if e, ok := t.(xml.StartElement); ok {
			return e.Name.Local, nil
		}
		if text, ok := t.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			return "", &xml.SyntaxError{Msg: "text before the first element"}
		}
	}
}

// joined is a body of which the beginning was read.
type joined struct {
	io.Reader
	io.Closer
}

package objstore

import (
	"net/url"
	"strings"
)

// Redact hides credentials in the text of an error: the given secrets, signatures and tokens in URLs, and user names and passwords in
// them. errors.Is and errors.As still see the error itself.
func Redact(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := RedactText(text, secrets...); clean != text {
		return &redactedError{clean, err}
	}
	return err
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// RedactText is Redact for a text.
func RedactText(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, "REDACTED")
			text = strings.ReplaceAll(text, url.QueryEscape(s), "REDACTED")
		}
	}
	for _, name := range []string{"sig=", "X-Amz-Signature=", "X-Amz-Credential=", "X-Amz-Security-Token=", "X-Goog-Signature=", "X-Goog-Credential=", "access_token=", "client_secret=", "refresh_token="} {
		text = redactAfter(text, name)
	}
	return redactUser(text)
}

// redactAfter hides what follows a parameter's name, up to the parameter's end.
func redactAfter(text, name string) string {
	var out strings.Builder
	for {
		i := indexFold(text, name)
		if i < 0 {
			out.WriteString(text)
			return out.String()
		}
		i += len(name)
		out.WriteString(text[:i] + "REDACTED")
		text = text[i:]
		if end := strings.IndexAny(text, "&\"' \t\r\n;,)"); end >= 0 {
			text = text[end:]
		} else {
			text = ""
		}
	}
}

// indexFold is strings.Index without regard to case; name is ASCII.
func indexFold(text, name string) int {
	for i := range len(text) - len(name) + 1 {
		if strings.EqualFold(text[i:i+len(name)], name) {
			return i
		}
	}
	return -1
}

// redactUser hides user:password in URLs.
func redactUser(text string) string {
	var out strings.Builder
	for {
		i := strings.Index(text, "://")
		if i < 0 {
			out.WriteString(text)
			return out.String()
		}
		i += len("://")
		out.WriteString(text[:i])
		text = text[i:]
		end := strings.IndexAny(text, "/\"' \t\r\n?#")
		if end < 0 {
			end = len(text)
		}
		if at := strings.LastIndexByte(text[:end], '@'); at >= 0 && strings.Contains(text[:at], ":") {
			out.WriteString("REDACTED")
			text = text[at:]
		}
	}
}

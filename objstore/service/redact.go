package service

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
)

// Redact hides credentials in the text of an error: the given secrets, signatures and tokens in URLs, and user names and passwords in
// them. errors.Is and errors.As still see the error itself; who walks the chain with errors.Unwrap does not.
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

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }
func (e *redactedError) As(target any) bool   { return errors.As(e.err, target) }

// RedactText is Redact for a text.
func RedactText(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			for _, spelling := range spellings(s) {
				text = strings.ReplaceAll(text, spelling, "REDACTED")
			}
		}
	}
	for _, name := range secretParameters {
		text = redactAfter(text, name)
	}
	return redactUser(text)
}

// secretParameters are the ends of names of parameters, in URLs, headers and connection strings, whose values are secret.
var secretParameters = []string{"sig=", "Signature=", "Credential=", "token=", "client_secret=", "AccountKey=", "AWSAccessKeyId=", "password="}

// spellings are a secret as it is and as it stands in URLs and JSON.
func spellings(s string) []string {
	out := []string{s, url.QueryEscape(s), url.PathEscape(s)}
	if quoted, err := json.Marshal(s); err == nil {
		out = append(out, string(quoted[1:len(quoted)-1]))
	}
	return out
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

package filter

import (
	"errors"
	"fmt"
)

// ParseError is a filter text that cannot be read. Offset is the byte position of the fault in Text.
type ParseError struct {
	Text   string
	Offset int
	Msg    string
}

func (e *ParseError) Error() string { return fmt.Sprintf("filter: %s at offset %d", e.Msg, e.Offset) }

// Parse reads the filter language of Metaxy 0.1.11. Every rejection is a *ParseError.
func Parse(text string) (Expr, error) { return nil, errors.New("not built yet") }

// ParseSQL reads a predicate in the SQL of delta-spark. Every rejection is a *ParseError.
func ParseSQL(text string) (Expr, error) { return nil, errors.New("not built yet") }

// Columns lists the column paths that e mentions, each once, in order of first mention.
func Columns(e Expr) [][]string { return nil }

// Package docs holds the pages of this folder that the program prints.
//
// A page is Markdown. Of the page of codes the program reads the rows of
// tables, whose first cell is a code; a row of an error has its exit code in
// the second.
package docs

import _ "embed"

// Codes is the page of warnings and errors.
//
//go:embed codes.md
var Codes string

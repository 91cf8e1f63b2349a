package service

import "fmt"

// Pages bounds how a listing goes on: each page must lead to another one.
type Pages struct {
	last  string
	empty int
}

// maxEmptyPages is how many pages in a row may hold nothing.
const maxEmptyPages = 1000

// Next reports why a listing cannot go on behind a page that held n things,
// whose continuation is token; errProtocol is what NotOf gives.
func (p *Pages) Next(token string, n int, errProtocol error) error {
	if n > 0 {
		p.empty = 0
	} else {
		p.empty++
	}
	switch {
	case token == "":
		return fmt.Errorf("%w (a listing says that it is cut off, and not where it goes on)", errProtocol)
	case token == p.last, p.empty > maxEmptyPages:
		return fmt.Errorf("%w (a listing goes on where it was)", errProtocol)
	}
	p.last = token
	return nil
}

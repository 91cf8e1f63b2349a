// Package deltatest is being built.
package deltatest

// Package rowhash is being built.
package rowhash

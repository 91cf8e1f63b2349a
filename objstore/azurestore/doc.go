// Package azurestore is being built.
package azurestore

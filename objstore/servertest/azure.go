package servertest

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// EmulatorKey is that of the account of Azure's storage emulator, which is the same everywhere and no secret.
const EmulatorKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

// makeContainer creates the container at a URL of the emulator.
func makeContainer(ctx context.Context, url string) error {
	cred, err := container.NewSharedKeyCredential("devstoreaccount1", EmulatorKey)
	if err != nil {
		return err
	}
	o := &container.ClientOptions{ClientOptions: azcore.ClientOptions{InsecureAllowCredentialWithHTTP: strings.HasPrefix(url, "http://")}}
	client, err := container.NewClientWithSharedKeyCredential(url, cred, o)
	if err != nil {
		return err
	}
	_, err = client.Create(ctx, nil)
	return err
}

package azurestore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// key is base64, as account keys are.
const key = "Q0FOQVJZLWtleQ=="

func (f *server) open(t *testing.T, url string) objstore.Driver {
	t.Helper()
	d, err := azurestore.Opener{}.Open(t.Context(), url, map[string]string{
		"AZURE_STORAGE_ENDPOINT": f.url, "azure_allow_http": "true", "AZURE_STORAGE_ACCOUNT_NAME": "account", "azure_storage_account_key": key,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	for _, url := range []string{"az://container", "abfss://container@account.dfs.core.windows.net/some/prefix"} {
		t.Run(url, func(t *testing.T) {
			objstoretest.Run(t, func(t *testing.T) objstore.Driver { return start(t).open(t, url) }, &objstoretest.Options{RaceRounds: 200, SkipKeys: unholdable})
		})
	}
}

// unholdable are the suite's keys that the service would change.
var unholdable = []string{`back\slash`}

// TestBackslash wants keys refused that the service would store under another name.
func TestBackslash(t *testing.T) {
	store, ctx := objstore.New(start(t).open(t, "az://container")), t.Context()
	if err := store.PutIfAbsent(ctx, "back/slash", nil); err != nil {
		t.Fatal(err)
	}
	_, stat := store.Stat(ctx, unholdable[0])
	_, read := store.ReadAll(ctx, unholdable[0], 1)
	for op, err := range map[string]error{"stat": stat, "read": read, "put": store.Put(ctx, unholdable[0], strings.NewReader("")), "create": store.PutIfAbsent(ctx, unholdable[0], nil), "delete": store.Delete(ctx, unholdable[0])} {
		if !errors.Is(err, objstore.ErrInvalidKey) || !strings.Contains(err.Error(), "backslash") {
			t.Errorf("%s: %v", op, err)
		}
	}
	if _, err := store.Stat(ctx, "back/slash"); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		status       int
		code         string
		create, read error // nil = anything that is no name
	}{
		{403, "AuthorizationFailure", fs.ErrPermission, fs.ErrPermission},
		{404, "BlobNotFound", objstore.NoBucket, fs.ErrNotExist}, // what is created or listed cannot be missing
		{404, "ContainerNotFound", objstore.NoBucket, objstore.NoBucket},
		{403, "AuthenticationFailed", objstore.BadCredentials, objstore.BadCredentials},
		{409, "BlobAlreadyExists", objstore.ErrExists, nil},
		{409, "LeaseIdMissing", nil, nil},
		{412, "ConditionNotMet", objstore.ErrExists, nil},
		{400, "InvalidInput", nil, nil},
	} {
		f := start(t)
		store := objstore.New(f.open(t, "az://container"))
		f.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			servertest.RefuseAzure(w, c.status, c.code)
		})
		check := func(op string, err, want error) {
			t.Helper()
			if err == nil || want != nil && !errors.Is(err, want) || want == objstore.NoBucket && errors.Is(err, fs.ErrNotExist) || want == nil && (errors.Is(err, objstore.ErrExists) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
				t.Errorf("%s: %s: %v, want %v", c.code, op, err, want)
			}
			if err != nil && strings.Contains(err.Error(), key) {
				t.Errorf("%s: %s shows a credential: %v", c.code, op, err)
			}
		}
		check("create", store.PutIfAbsent(ctx, "k", []byte("x")), c.create)
		_, err := store.ReadAll(ctx, "k", 10)
		check("read", err, c.read)
		_, err = store.Stat(ctx, "k")
		check("stat", err, c.read)
		for _, err := range store.List(ctx, objstore.ListOptions{}) {
			if c.create == objstore.NoBucket {
				check("list", err, objstore.NoBucket)
			} else {
				check("list", err, c.read)
			}
		}
	}
}

// TestCreateIsSentOnce lets the first answer of a stored object get lost: a repeated request would call our own object another's.
func TestCreateIsSentOnce(t *testing.T) {
	f := start(t)
	store := objstore.New(f.open(t, "az://container"))
	for i, lose := range []func(w http.ResponseWriter){
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
	} {
		var sent atomic.Int32
		f.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method != http.MethodPut {
				next.ServeHTTP(w, r)
				return
			}
			sent.Add(1)
			next.ServeHTTP(httptest.NewRecorder(), r)
			lose(w)
		})
		key := fmt.Sprintf("k%d", i)
		if err := store.PutIfAbsent(t.Context(), key, []byte("mine")); err == nil || errors.Is(err, objstore.ErrExists) || sent.Load() != 1 {
			t.Errorf("a lost answer: %v after %d requests, want an ambiguous error after 1", err, sent.Load())
		}
		if got, err := store.ReadAll(t.Context(), key, 10); err != nil || string(got) != "mine" {
			t.Errorf("reading back: %q, %v", got, err)
		}
	}
}

// TestDirectories lists an account with a hierarchy, which shows directories as blobs.
func TestDirectories(t *testing.T) {
	f := start(t, "t", "t/a")
	store := objstore.New(f.open(t, "az://container"))
	for _, k := range []string{"t/a/b", "t/a-b"} {
		if err := store.Put(t.Context(), k, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for o, err := range store.List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.Key)
	}
	if strings.Join(got, " ") != "t/a-b t/a/b" {
		t.Errorf("listed %q", got)
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		url     string
		options map[string]string
		want    string
	}{
		"no account": {"az://container", nil, "AZURE_STORAGE_ACCOUNT_NAME"},
		"plain":      {"az://container", map[string]string{"account_name": "a", "endpoint": "http://host/a"}, "AZURE_ALLOW_HTTP"},
		"endpoint":   {"az://container", map[string]string{"account_name": "a", "endpoint": "https://host/a?sig=CANARY"}, "without credentials"},
		"key":        {"az://container", map[string]string{"account_name": "a", "account_key": "CANARY no base64"}, "AZURE_STORAGE_ACCOUNT_KEY"},
		"parameter":  {"az://container?localemu=1", map[string]string{"account_name": "a"}, "localemu"},
		"bool":       {"az://container", map[string]string{"account_name": "a", "use_emulator": "perhaps"}, "neither true nor false"},
	} {
		_, err := azurestore.Opener{}.Open(t.Context(), c.url, c.options)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v, want %q and no credential", name, err, c.want)
		}
	}
	var asked string
	f := start(t)
	f.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		asked = r.URL.RawQuery + " " + r.Header.Get("Authorization")
		servertest.RefuseAzure(w, http.StatusBadRequest, "InvalidInput")
	})
	for name, c := range map[string]struct {
		options map[string]string
		want    string
	}{
		"sas":    {map[string]string{"azure_storage_sas_token": "?sv=2020&sig=CANARY"}, "sig=CANARY"},
		"token":  {map[string]string{"AZURE_STORAGE_TOKEN": "CANARY"}, "Bearer CANARY"},
		"key":    {map[string]string{"AZURE_STORAGE_ACCESS_KEY": key}, "SharedKey account:"},
		"nobody": {map[string]string{"azure_skip_signature": "true"}, ""},
	} {
		c.options["azure_endpoint"], c.options["allow_http"], c.options["account_name"] = f.url, "true", "account"
		d, err := azurestore.Opener{}.Open(t.Context(), "az://container", c.options)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, err = d.Stat(t.Context(), "k")
		if err == nil || !strings.Contains(asked, c.want) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: sent %q, want %q; %v", name, asked, c.want, err)
		}
	}
}

// TestQuietSignature checks that an unreachable server does not make the driver show the signed URL.
func TestQuietSignature(t *testing.T) {
	d, err := azurestore.Opener{}.Open(t.Context(), "az://container", map[string]string{
		"azure_storage_sas_token": "sv=2020&sig=CANARY%2Bx", "azure_endpoint": "http://127.0.0.1:1/account", "allow_http": "true", "account_name": "account",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.PutIfAbsent(t.Context(), "k", nil); err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("%v", err)
	}
}

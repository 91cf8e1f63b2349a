package main

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// TestMetrics: what is counted is what Prometheus's own parser reads, also where
// names hold what its format quotes.
func TestMetrics(t *testing.T) {
	key, err := feature.ParseKey("video/raw")
	if err != nil {
		t.Fatal(err)
	}
	m := &metrics{}
	for _, e := range []event.Event{
		{Kind: event.Request, Op: "read", Key: "video/raw.delta/part.parquet", Bytes: 100, Took: time.Second},
		{Kind: event.Request, Op: "read", Key: "video/raw.delta/part.parquet", Bytes: 50, Took: time.Second},
		{Kind: event.Request, Op: "list", Key: "a\"b\\c\nd.delta/_delta_log/"},
		{Kind: event.Retry, Op: "read", Key: "video__raw.delta/part.parquet"},
		{Kind: event.Commit, Op: "create", Key: "video/raw.delta/_delta_log/0.json", Outcome: "stored"},
		{Kind: event.Progress, Op: "new", Feature: key, Rows: 10},
		{Kind: event.Progress, Op: "new", Feature: key, Rows: 25},
		{Kind: event.Progress, Op: "new", Feature: key, Rows: 5}, // another stream
		{Kind: event.Scan, Op: "read", Feature: key, Rows: 7, Total: 9},
	} {
		m.count(e)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(m.text()))
	if err != nil {
		t.Fatalf("%v\n%s", err, m.text())
	}
	got := map[string]float64{}
	for name, f := range families {
		if f.GetHelp() == "" || f.GetType().String() != "COUNTER" {
			t.Errorf("%s is a %s, %q", name, f.GetType(), f.GetHelp())
		}
		for _, x := range f.GetMetric() {
			id := name
			for _, l := range x.GetLabel() {
				id += " " + l.GetValue()
			}
			got[id] = x.GetCounter().GetValue()
		}
	}
	for id, want := range map[string]float64{
		"metaxy_delta_bytes_total video/raw read": 150, "metaxy_delta_requests_total video/raw read": 2, "metaxy_delta_request_seconds_total video/raw read": 2,
		"metaxy_delta_requests_total a\"b\\c\nd list": 1, "metaxy_delta_retries_total video/raw read": 1, "metaxy_delta_commits_total video/raw stored": 1,
		"metaxy_delta_rows_total video/raw new": 30, "metaxy_delta_scanned_rows_total video/raw": 7,
	} {
		if got[id] != want {
			t.Errorf("%s is %v, want %v of %v", id, got[id], want, got)
		}
	}
}

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
)

// metrics counts what a run does, for --metrics-file, by feature where a request
// or a row is of one.
type metrics struct {
	mu     sync.Mutex
	values map[series]float64
	// last are the rows of streams, which are told as sums.
	last map[series]int64
}

// series is a name with its labels.
type series struct{ name, feature, op string }

// metricHelp says what each metric is; the kind is by the end of the name.
var metricHelp = map[string]string{
	"metaxy_delta_rows_total":            "Rows that were read, written, or found new, stale or orphaned.",
	"metaxy_delta_scanned_rows_total":    "Rows whose deciding columns were read.",
	"metaxy_delta_requests_total":        "Requests to the storage.",
	"metaxy_delta_retries_total":         "Requests that were tried again.",
	"metaxy_delta_bytes_total":           "Bytes read from and sent to the storage.",
	"metaxy_delta_request_seconds_total": "Time that requests took, added up.",
	"metaxy_delta_commits_total":         "Commits, by what became of them.",
	"metaxy_delta_run_seconds":           "Time of the run.",
	"metaxy_delta_run_exit_code":         "Exit code of the run.",
	"metaxy_delta_run_end_seconds":       "When the run ended, in seconds since 1970.",
}

func (m *metrics) add(name, feature, op string, n float64) {
	if m.values == nil {
		m.values = map[series]float64{}
	}
	m.values[series{name, feature, op}] += n
}

// upTo adds what a running sum grew by.
func (m *metrics) upTo(name, feature, op string, sum int64) {
	s := series{name, feature, op}
	if m.last == nil {
		m.last = map[series]int64{}
	}
	if sum < m.last[s] {
		m.last[s] = 0 // another stream
	}
	m.add(name, feature, op, float64(sum-m.last[s]))
	m.last[s] = sum
}

// count is told what a store does, by many goroutines.
func (m *metrics) count(e event.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Kind {
	case event.Progress:
		m.upTo("metaxy_delta_rows_total", e.Feature.String(), e.Op, e.Rows)
	case event.Scan:
		m.upTo("metaxy_delta_scanned_rows_total", e.Feature.String(), "", e.Rows)
	case event.Retry:
		m.add("metaxy_delta_retries_total", featureOf(e.Key), e.Op, 1)
	case event.Commit:
		m.add("metaxy_delta_commits_total", featureOf(e.Key), e.Outcome, 1)
	case event.Request:
		m.add("metaxy_delta_requests_total", featureOf(e.Key), e.Op, 1)
		m.add("metaxy_delta_request_seconds_total", featureOf(e.Key), e.Op, e.Took.Seconds())
		if e.Bytes > 0 {
			m.add("metaxy_delta_bytes_total", featureOf(e.Key), e.Op, float64(e.Bytes))
		}
	}
}

// featureOf is the feature in whose table an object lies, "" for others.
func featureOf(key string) string {
	table, _, ok := strings.Cut(key, ".delta/")
	if !ok {
		return ""
	}
	return strings.ReplaceAll(table, "__", "/")
}

// text is in Prometheus's text format.
func (m *metrics) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]series, 0, len(m.values))
	for s := range m.values {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b series) int {
		return strings.Compare(a.name+"\x00"+a.feature+"\x00"+a.op, b.name+"\x00"+b.feature+"\x00"+b.op)
	})
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace
	var b strings.Builder
	for i, s := range all {
		if i == 0 || all[i-1].name != s.name {
			kind := "gauge"
			if strings.HasSuffix(s.name, "_total") {
				kind = "counter"
			}
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", s.name, metricHelp[s.name], s.name, kind)
		}
		var labels []string
		if s.feature != "" {
			labels = append(labels, `feature="`+quote(s.feature)+`"`)
		}
		if s.op != "" {
			labels = append(labels, `op="`+quote(s.op)+`"`)
		}
		b.WriteString(s.name)
		if labels != nil {
			b.WriteString("{" + strings.Join(labels, ",") + "}")
		}
		b.WriteString(" " + strconv.FormatFloat(m.values[s], 'g', -1, 64) + "\n")
	}
	return b.String()
}

// writeMetrics writes --metrics-file at the end of a run. That it cannot be
// written is a warning: the work is done.
func (a *app) writeMetrics(start time.Time, exit int) {
	if a.flags.metricsFile == "" {
		return
	}
	end, command := a.now(), a.about.command
	a.metrics.mu.Lock()
	a.metrics.add("metaxy_delta_run_seconds", "", command, end.Sub(start).Seconds())
	a.metrics.add("metaxy_delta_run_exit_code", "", command, float64(exit))
	a.metrics.add("metaxy_delta_run_end_seconds", "", command, float64(end.Unix()))
	a.metrics.mu.Unlock()
	if err := atomicfile.WriteFile(a.ctx, a.flags.metricsFile, []byte(a.metrics.text())); err != nil {
		a.warning("METRICS", "--metrics-file: "+err.Error())
	}
}

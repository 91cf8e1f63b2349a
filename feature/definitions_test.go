package feature_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

type storedJSON struct {
	Project       string
	ClassPath     *string `json:"feature_class_path"`
	FeatureSpec   string  `json:"feature_spec"`
	FeatureSchema string  `json:"feature_schema"`
	External      bool
	OnConflict    string            `json:"on_conflict"`
	Provenance    map[string]string `json:"provenance_by_field"`
}

func (s storedJSON) load() (*feature.Definition, error) {
	d, err := feature.Load(feature.Stored{Project: s.Project, FeatureSpec: s.FeatureSpec, FeatureSchema: s.FeatureSchema, ClassPath: s.ClassPath})
	if err != nil {
		return nil, err
	}
	d.External = s.External
	for k, v := range s.Provenance {
		if d.Override == nil {
			d.Override = map[feature.FieldKey]string{}
		}
		f, err := feature.ParseFieldKey(k)
		if err != nil {
			return nil, err
		}
		d.Override[f] = v
	}
	return d, nil
}

// answer is a recorded value, or the fact that the reference failed.
type answer[T any] struct {
	value  T
	failed bool
	given  bool
}

func (a *answer[T]) UnmarshalJSON(data []byte) error {
	a.given = true
	var e struct{ Error json.RawMessage }
	if json.Unmarshal(data, &e) == nil && e.Error != nil {
		a.failed = true
		return nil
	}
	return json.Unmarshal(data, &a.value)
}

// differs tells how a result contradicts the recorded one, "" when it does not.
func (a answer[T]) differs(got T, err error) string {
	switch {
	case !a.given, a.failed && err != nil:
		return ""
	case a.failed:
		return fmt.Sprintf("got %v, want an error", got)
	case err != nil:
		return err.Error()
	}
	return cmp.Diff(a.value, got, cmpopts.EquateEmpty())
}

type expectFeature struct {
	Columns           answer[[]string]
	DefinitionVersion answer[string]            `json:"definition_version"`
	CodeVersion       answer[string]            `json:"feature_code_version"`
	SpecVersion       answer[string]            `json:"feature_spec_version"`
	FeatureVersion    answer[string]            `json:"feature_version"`
	Fields            map[string]answer[string] `json:"field_versions"`
	Parents           map[string]answer[[]string]
	Downstream        answer[[]string]
	InputIDs          answer[[]string] `json:"input_id_columns"`
}

type definitionCase struct {
	Kind, Name  string
	Features    []storedJSON
	Truncation  int
	Spec        json.RawMessage
	FeatureSpec string `json:"feature_spec"`
	SpecVersion string `json:"feature_spec_version"`
	Recorded    string `json:"recorded_project_version"`
	Expect      struct {
		LoadError       json.RawMessage `json:"load_error"`
		Features        map[string]expectFeature
		ProjectVersions map[string]string `json:"project_versions"`
		Topological     answer[[]string]  `json:"topological_order"`
		Descending      answer[[]string]  `json:"topological_order_descending"`
	}
	Steps   []storedJSON
	Results []struct {
		OK    bool
		Error json.RawMessage
	}
	Held map[string]struct {
		Description *string
		External    bool
		Project     string
	}
}

func TestDefinitionVectors(t *testing.T) {
	for _, raw := range readCases(t, "definitions.json") {
		c := decode[definitionCase](t, raw)
		switch c.Kind {
		case "graph":
			checkGraph(t, c)
		case "invalid_spec":
			if _, err := feature.DecodeSpec(mustJSON(t, c.Spec)); err == nil {
				t.Errorf("%s: accepted %s", c.Name, c.Spec)
			}
		case "coerced_spec":
			s, err := feature.DecodeSpec(mustJSON(t, c.Spec))
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
			} else if got := s.Value().Text(); got != c.FeatureSpec {
				t.Errorf("%s: %s", c.Name, cmp.Diff(c.FeatureSpec, got))
			} else if got, err := specVersion(s, 8); err != nil || got != c.SpecVersion {
				t.Errorf("%s: spec version %q (%v), want %q", c.Name, got, err, c.SpecVersion)
			}
		case "registration":
			checkRegistration(t, c)
		default:
			t.Errorf("unknown kind %q", c.Kind)
		}
	}
}

// specVersion is the version of a spec alone in a graph.
func specVersion(s *feature.Spec, length int) (string, error) {
	g := feature.NewGraph(length)
	if err := g.Add(&feature.Definition{Project: "p", Spec: s}); err != nil {
		return "", err
	}
	return g.SpecVersion(s.Key)
}

func TestExternalVectors(t *testing.T) {
	for _, raw := range readCases(t, "external.json") {
		checkGraph(t, decode[definitionCase](t, raw))
	}
}

func buildGraph(t *testing.T, c definitionCase) (*feature.Graph, error) {
	t.Helper()
	g := feature.NewGraph(c.Truncation)
	for _, s := range c.Features {
		d, err := s.load()
		if err != nil {
			return nil, err
		}
		if err := g.Add(d); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func checkGraph(t *testing.T, c definitionCase) {
	t.Helper()
	g, err := buildGraph(t, c)
	if len(c.Expect.LoadError) > 0 {
		if err == nil {
			t.Errorf("%s: loaded", c.Name)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v", c.Name, err)
		return
	}
	for key, want := range c.Expect.Features {
		checkFeature(t, c.Name, g, key, want)
	}
	for project, want := range c.Expect.ProjectVersions {
		if got, err := g.ProjectVersion(project); err != nil || got != want {
			t.Errorf("%s: project version %q %v, want %q", c.Name, got, err, want)
		}
	}
	if c.Recorded != "" { // by the project itself, in its own store
		for _, project := range g.Projects() {
			if got, err := g.ProjectVersion(project); err != nil || got != c.Recorded {
				t.Errorf("%s: project version %q %v, recorded is %q", c.Name, got, err, c.Recorded)
			}
		}
	}
	var keys []feature.Key
	for _, d := range g.Definitions() {
		keys = append(keys, d.Spec.Key)
	}
	order := g.Topological(keys)
	if d := c.Expect.Topological.differs(texts(order), nil); d != "" {
		t.Errorf("%s: topological order %s", c.Name, d)
	}
	slices.Reverse(order)
	if d := c.Expect.Descending.differs(texts(order), nil); d != "" {
		t.Errorf("%s: topological order, dependents first: %s", c.Name, d)
	}
}

func texts[K interface{ String() string }](keys []K) []string {
	var out []string
	for _, k := range keys {
		out = append(out, k.String())
	}
	return out
}

func checkFeature(t *testing.T, name string, g *feature.Graph, key string, want expectFeature) {
	t.Helper()
	k, err := feature.DecodeKey(feature.StringValue(key))
	if err != nil {
		t.Fatal(err)
	}
	d, ok := g.Get(k)
	if !ok {
		t.Errorf("%s: no feature %s", name, key)
		return
	}
	for what, c := range map[string]struct {
		want answer[string]
		f    func(feature.Key) (string, error)
	}{
		"feature": {want.FeatureVersion, g.FeatureVersion}, "spec": {want.SpecVersion, g.SpecVersion},
		"code": {want.CodeVersion, g.CodeVersion}, "definition": {want.DefinitionVersion, g.DefinitionVersion},
	} {
		got, err := c.f(k)
		if d := c.want.differs(got, err); d != "" {
			t.Errorf("%s: %s version of %s: %s", name, what, key, d)
		}
	}
	for f, v := range want.Fields {
		fk, err := feature.DecodeFieldKey(feature.StringValue(f))
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.FieldVersion(k, fk)
		if d := v.differs(got, err); d != "" {
			t.Errorf("%s: version of %s.%s: %s", name, key, f, d)
		}
	}
	if d := want.Columns.differs(d.Columns(), nil); d != "" {
		t.Errorf("%s: columns of %s: %s", name, key, d)
	}
	if d := want.Downstream.differs(texts(g.Downstream([]feature.Key{k})), nil); d != "" {
		t.Errorf("%s: downstream of %s: %s", name, key, d)
	}
	checkPlan(t, name, g, k, want)
}

func checkPlan(t *testing.T, name string, g *feature.Graph, k feature.Key, want expectFeature) {
	t.Helper()
	if want.Parents == nil {
		return
	}
	plan, err := g.Plan(k)
	if err != nil {
		// The reference answers for each field apart; a plan is whole, so it fails when one of them does.
		if !want.FeatureVersion.failed && !want.InputIDs.failed && !anyFailed(want.Parents) {
			t.Errorf("%s: plan of %s: %v", name, k, err)
		}
		return
	}
	for _, f := range plan.Fields {
		if d := want.Parents[f.Key.String()].differs(fqs(f.Parents), nil); d != "" {
			t.Errorf("%s: parents of %s.%s: %s", name, k, f.Key, d)
		}
	}
	if d := want.InputIDs.differs(slices.Sorted(slices.Values(plan.InputIDColumns())), nil); d != "" {
		t.Errorf("%s: input ids of %s: %s", name, k, d)
	}
}

func fqs(parents []feature.Parent) []string {
	var out []string
	for _, p := range parents {
		out = append(out, p.FQ())
	}
	return out
}

func anyFailed(m map[string]answer[[]string]) bool {
	for _, a := range m {
		if a.failed {
			return true
		}
	}
	return false
}

func checkRegistration(t *testing.T, c definitionCase) {
	t.Helper()
	g := feature.NewGraph(8)
	for i, s := range c.Steps {
		d, err := s.load()
		switch {
		case err != nil:
		case s.OnConflict == "ignore":
			g.AddMissing(d)
		default:
			err = g.Add(d)
		}
		if (err == nil) != c.Results[i].OK {
			t.Errorf("%s: step %d: %v, want ok %v", c.Name, i, err, c.Results[i].OK)
		}
	}
	for key, want := range c.Held {
		k, err := feature.ParseKey(key)
		if err != nil {
			t.Fatal(err)
		}
		d, ok := g.Get(k)
		if !ok || d.External != want.External || d.Project != want.Project || !equalText(d.Spec.Description, want.Description) {
			t.Errorf("%s: holds %+v, want %+v", c.Name, d, want)
		}
	}
}

func equalText(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

type textCase struct {
	Kind, Bits, Text, Python string
	Input                    string
	InputText                string  `json:"input_text"`
	StoredText               *string `json:"stored_text"`
	SortedText               string  `json:"sorted_text"`
	SpecSortedText           string  `json:"spec_sorted_text"`
	SpecVersion64            string  `json:"spec_version_64"`
	DefinitionVersion        string  `json:"definition_version"`
	SpecVersion              string  `json:"spec_version"`
	Columns                  []string
	Error                    json.RawMessage
}

func TestJSONTextVectors(t *testing.T) {
	for _, raw := range readCases(t, "json_text.json") {
		c := decode[textCase](t, raw)
		switch c.Kind {
		case "float":
			bits, err := strconv.ParseUint(c.Bits, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			f := math.Float64frombits(bits)
			v, err := feature.ParseJSON(strconv.FormatFloat(f, 'e', -1, 64))
			if math.IsNaN(f) || math.IsInf(f, 0) {
				v, err = feature.Value{}, nil
			}
			if got := v.Text(); err != nil || got != c.Text {
				t.Errorf("float %s: %q (%v), want %q", c.Bits, got, err, c.Text)
			}
		case "string":
			in := mustJSON(t, rawField(t, raw, "input"))
			if got := in.Text(); got != c.Text {
				t.Errorf("string: %q, want %q", got, c.Text)
			}
		case "metadata", "schema":
			checkText(t, c, raw)
		case "python_value":
			checkPythonText(t, c)
		default:
			t.Errorf("unknown kind %q", c.Kind)
		}
	}
}

func rawField(t *testing.T, raw json.RawMessage, name string) json.RawMessage {
	t.Helper()
	return decode[map[string]json.RawMessage](t, raw)[name]
}

// checkText reads the input text through a stored definition, because that is how such text is met. Inputs may hold lone surrogates, so they are taken undecoded.
func checkText(t *testing.T, c textCase, raw json.RawMessage) {
	t.Helper()
	spec := `{"key": "a", "id_columns": ["id"]}`
	schema := "{}"
	if c.Kind == "metadata" {
		spec = `{"key": "a", "id_columns": ["id"], "metadata": ` + c.InputText + `}`
	} else {
		schema = c.InputText
	}
	d, err := feature.Load(feature.Stored{Project: "p", FeatureSpec: spec, FeatureSchema: schema})
	if c.StoredText == nil {
		if err == nil {
			t.Errorf("%s %q: accepted", c.Kind, c.InputText)
		}
		return
	}
	if err != nil {
		t.Errorf("%s %q: %v", c.Kind, c.InputText, err)
		return
	}
	v := d.Spec.Metadata
	if c.Kind == "schema" {
		v = d.Schema
	}
	if v.Text() != *c.StoredText || v.SortedText() != c.SortedText {
		t.Errorf("%s %q: stored %q sorted %q, want %q and %q", c.Kind, c.InputText, v.Text(), v.SortedText(), *c.StoredText, c.SortedText)
	}
	g := feature.NewGraph(64)
	if err := g.Add(d); err != nil {
		t.Fatal(err)
	}
	if c.Kind == "metadata" {
		if got, err := g.SpecVersion(d.Spec.Key); err != nil || got != c.SpecVersion64 {
			t.Errorf("metadata %q: spec version %q (%v)", c.InputText, got, err)
		}
		if got, err := specVersion(d.Spec, 8); err != nil || got != c.SpecVersion || d.Spec.Value().SortedText() != c.SpecSortedText {
			t.Errorf("metadata %q: spec version %q (%v) of %s, want %q of %s", c.InputText, got, err, d.Spec.Value().SortedText(), c.SpecVersion, c.SpecSortedText)
		}
		return
	}
	short := feature.NewGraph(8)
	if err := short.Add(d); err != nil {
		t.Fatal(err)
	}
	if got, err := short.DefinitionVersion(d.Spec.Key); err != nil || got != c.DefinitionVersion || !slices.Equal(d.Columns(), c.Columns) {
		t.Errorf("schema %q: definition version %q (%v), columns %q, want %q and %q", c.InputText, got, err, d.Columns(), c.DefinitionVersion, c.Columns)
	}
}

// checkPythonText reads the text that Python made and expects it to be kept.
func checkPythonText(t *testing.T, c textCase) {
	t.Helper()
	if c.Text == "" {
		return
	}
	v, err := feature.ParseJSON(c.Text)
	if err != nil || v.Text() != c.Text {
		t.Errorf("%s: %q (%v), want %q", c.Python, v.Text(), err, c.Text)
	}
}

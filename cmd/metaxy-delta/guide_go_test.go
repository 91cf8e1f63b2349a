package main

// The Go of internal/docs/definitions.md: TestGuide checks that each block of the page stands here.

import (
	"context"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// key reads a key that is written in the program.
func key(s string) feature.Key {
	k, err := feature.ParseKey(s)
	if err != nil {
		panic(err)
	}
	return k
}

// field does the same for the key of a field.
func field(s string) feature.FieldKey {
	k, err := feature.ParseFieldKey(s)
	if err != nil {
		panic(err)
	}
	return k
}

// open opens a store that works with the definitions of the program; it reports every fault in them.
func open(ctx context.Context, url string, definitions []*feature.Definition) (*metaxy.DeltaStore, error) {
	graph := feature.NewGraph(8) // the length of versions: hash_truncation_length of the configuration
	for _, d := range definitions {
		if err := graph.Add(d); err != nil {
			return nil, err
		}
	}
	return metaxy.Open(ctx, url, &metaxy.Options{Graph: graph, Project: "media"})
}

// guideDefinitions are the definitions of each section.
var guideDefinitions = map[string]func() ([]*feature.Definition, error){
	"Keys and id columns": func() ([]*feature.Definition, error) {
		recording := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("recording"),
			IDColumns: []string{"recording_id"},
			Fields:    []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		shot := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/shot"),
			IDColumns: []string{"video_id", "shot_number"},
			Fields:    []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		return []*feature.Definition{recording, shot}, nil
	},
	"Fields and code versions": func() ([]*feature.Definition, error) {
		raw := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/raw"),
			IDColumns: []string{"video_id"},
			Fields: []feature.Field{
				{Key: field("audio"), CodeVersion: "1"},
				{Key: field("frames"), CodeVersion: "2"},
				{Key: field("title"), CodeVersion: feature.InitialCodeVersion},
			},
		}}
		return []*feature.Definition{raw}, nil
	},
	"What a feature is made from": func() ([]*feature.Definition, error) {
		normalized := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/normalized"),
			IDColumns: []string{"video_id"},
			Deps:      []feature.Dep{{Feature: key("video/raw")}},
			Fields:    []feature.Field{{Key: field("audio"), CodeVersion: "1"}, {Key: field("thumbnail"), CodeVersion: "1"}},
		}}
		return []*feature.Definition{normalized}, nil
	},
	"What a field is made from": func() ([]*feature.Definition, error) {
		transcript := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/transcript"),
			IDColumns: []string{"video_id"},
			Deps:      []feature.Dep{{Feature: key("video/raw")}, {Feature: key("video/normalized")}},
			Fields: []feature.Field{
				{Key: field("text"), CodeVersion: "3", Deps: []feature.FieldDep{{Feature: key("video/raw"), Fields: []feature.FieldKey{field("audio")}}}},
				{Key: field("summary"), CodeVersion: "1", Deps: []feature.FieldDep{
					{Feature: key("video/raw"), All: true},
					{Feature: key("video/normalized"), Fields: []feature.FieldKey{field("thumbnail")}},
				}},
				{Key: field("index"), CodeVersion: "1", AllDeps: true},
			},
		}}
		return []*feature.Definition{transcript}, nil
	},
	"Mapping fields": func() ([]*feature.Definition, error) {
		tracks := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/tracks"),
			IDColumns: []string{"video_id"},
			Fields: []feature.Field{
				{Key: field("audio/french"), CodeVersion: feature.InitialCodeVersion},
				{Key: field("audio/english"), CodeVersion: feature.InitialCodeVersion},
				{Key: field("frames"), CodeVersion: feature.InitialCodeVersion},
			},
		}}
		rights := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/rights"),
			IDColumns: []string{"video_id"},
			Fields:    []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		dub := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/dub"),
			IDColumns: []string{"video_id"},
			Fields:    []feature.Field{{Key: field("french"), CodeVersion: "1"}, {Key: field("english"), CodeVersion: "1"}},
			Deps: []feature.Dep{
				{Feature: key("video/tracks"), Mapping: feature.FieldsMapping{MatchSuffix: true, ExcludeFields: []feature.FieldKey{field("frames")}}},
				{Feature: key("video/transcript"), Mapping: feature.FieldsMapping{Type: "specific", Specific: []feature.FieldMap{
					{Field: field("french"), Upstream: []feature.FieldKey{field("text"), field("summary")}},
					{Field: field("english"), Upstream: []feature.FieldKey{field("text")}},
				}}},
				{Feature: key("video/normalized"), Mapping: feature.FieldsMapping{Type: "all"}},
				{Feature: key("video/rights"), Mapping: feature.FieldsMapping{Type: "none"}},
			},
		}}
		return []*feature.Definition{tracks, rights, dub}, nil
	},
	"Columns of upstream features: rename and select": func() ([]*feature.Definition, error) {
		labels := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/labels"),
			IDColumns: []string{"video_id"},
			Deps: []feature.Dep{
				{Feature: key("video/raw"), Rename: []feature.Rename{{From: "path", To: "video_path"}}, Select: new([]string{"video_path", "size"})},
				{Feature: key("video/normalized"), Select: new([]string{})},
			},
			Fields: []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		return []*feature.Definition{labels}, nil
	},
	"Only some upstream rows: filters": func() ([]*feature.Definition, error) {
		preview := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/preview"),
			IDColumns: []string{"video_id"},
			Deps:      []feature.Dep{{Feature: key("video/raw"), Filters: []string{"size > 1000000", "status = 'ok' OR status IS NULL"}}},
			Fields:    []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		return []*feature.Definition{preview}, nil
	},
	"Optional deps": func() ([]*feature.Definition, error) {
		card := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/card"),
			IDColumns: []string{"video_id"},
			Deps:      []feature.Dep{{Feature: key("video/raw")}, {Feature: key("video/rights"), Optional: true}},
			Fields:    []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		return []*feature.Definition{card}, nil
	},
	"Lineage: one to one, many to one, one to many": func() ([]*feature.Definition, error) {
		voice := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("speaker/voice"),
			IDColumns: []string{"speaker_id"},
			Deps:      []feature.Dep{{Feature: key("recording"), Lineage: feature.Lineage{Kind: feature.Aggregation, On: new([]string{"speaker_id"})}}},
			Fields:    []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		chunk := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("video/chunk"),
			IDColumns: []string{"chunk_id"},
			Deps: []feature.Dep{{Feature: key("video/raw"), Lineage: feature.Lineage{
				Kind: feature.Expansion, On: new([]string{"video_id"}), IDGenerationPattern: new("{video_id}_{n}"),
			}}},
			Fields: []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		faces := &feature.Definition{Project: "media", Spec: &feature.Spec{
			Key:       key("chunk/faces"),
			IDColumns: []string{"chunk_id"},
			Deps:      []feature.Dep{{Feature: key("video/chunk"), Lineage: feature.Lineage{Kind: feature.Identity}}},
			Fields:    []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		return []*feature.Definition{voice, chunk, faces}, nil
	},
	"Description, metadata, schema, class path": func() ([]*feature.Definition, error) {
		metadata, err := feature.ParseJSON(`{"owner": "vision", "sla_hours": 1.5, "labels": ["gpu"]}`)
		if err != nil {
			return nil, err
		}
		schema, err := feature.ParseJSON(`{"type": "object", "properties": {"video_id": {"type": "string"}, "vector": {"type": "array"}}, "required": ["video_id"]}`)
		if err != nil {
			return nil, err
		}
		embedding := &feature.Definition{
			Project:   "media",
			ClassPath: new("media.features.Embedding"),
			Schema:    schema,
			Spec: &feature.Spec{
				Key:         key("video/embedding"),
				IDColumns:   []string{"video_id"},
				Deps:        []feature.Dep{{Feature: key("video/raw")}},
				Fields:      []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
				Metadata:    metadata,
				Description: new("What the pictures look like, 512 numbers"),
			},
		}
		return []*feature.Definition{embedding}, nil
	},
	"Several projects": func() ([]*feature.Definition, error) {
		document := &feature.Definition{Project: "search", Spec: &feature.Spec{
			Key:       key("search/document"),
			IDColumns: []string{"video_id"},
			Deps:      []feature.Dep{{Feature: key("video/transcript")}, {Feature: key("video/card"), Select: new([]string{})}},
			Fields:    []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
		}}
		return []*feature.Definition{document}, nil
	},
	"External features": func() ([]*feature.Definition, error) {
		external := &feature.Definition{
			Project:        "media",
			External:       true,
			Override:       map[feature.FieldKey]string{field("default"): "c0ffee00"},
			FailOnMismatch: true, // a store with another version is an error, not a warning
			Source:         "catalogue",
			Spec: &feature.Spec{
				Key:       key("video/catalogue"),
				IDColumns: []string{"video_id"},
				Fields:    []feature.Field{{Key: field("default"), CodeVersion: feature.InitialCodeVersion}},
			},
		}
		return []*feature.Definition{external}, nil
	},
}

func guidePush(ctx context.Context, store *metaxy.DeltaStore) (string, error) {
	pushed, err := store.Push(ctx, &metaxy.PushOptions{Project: "media", Tags: map[string]string{"git_commit": "3f2a91c"}})
	if err != nil {
		return "", err
	}
	return pushed.ProjectVersion, nil
}

func guideResolve(ctx context.Context, store *metaxy.DeltaStore) (*metaxy.Increment, error) {
	large, err := filter.Parse("size > 1500000")
	if err != nil {
		return nil, err
	}
	return store.ResolveUpdate(ctx, key("video/preview"), &metaxy.ResolveOptions{StaleIf: []filter.Expr{large}})
}

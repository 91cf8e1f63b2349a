package main

import (
	"fmt"
	"regexp"
)

// exampleRow is a row as JSON has it.
type exampleRow = map[string]any

// example is an example project of Metaxy: its definitions and samples lie in testdata/examples, its pipeline is written here once more, over the command.
type example struct {
	definitions string
	// patches are applied one after another before each push but the first, as the project's runbook does.
	patches []patch
	// pipeline does what the project's program does, and says what that one says of its counts; counts finds what both say.
	pipeline func(*exampleRun)
	counts   *regexp.Regexp
}

// patch replaces the first from in a file; "" appends.
type patch struct{ file, from, to string }

var examples = map[string]example{
	"aggregation": {
		definitions: "features.toml",
		patches: []patch{
			{"audio.jsonl", "a1_v1", "a1_v2"},
			{"audio.jsonl", "", `{"audio_id": "a5", "speaker_id": "s1", "duration_seconds": 25.0, "path": "audio/s1_recording3.wav", "metaxy_provenance_by_field": {"default": "a5_v1"}}` + "\n"},
		},
		counts: regexp.MustCompile(`\d+ (?:new|changed) audio|No new or changed|Found \d+ speakers|speaker s\d from \d+ audio|embeddings for \d+`),
		pipeline: func(r *exampleRun) {
			fresh, stale := r.resolve("audio", "audio.jsonl")
			if len(fresh) > 0 {
				r.say("Found %d new audio recordings", len(fresh))
			}
			if len(stale) > 0 {
				r.say("Found %d changed audio recordings", len(stale))
			}
			if len(fresh)+len(stale) == 0 {
				r.say("No new or changed audio recordings")
			}
			r.write("audio", append(fresh, stale...))
			fresh, stale = r.resolve("speaker/embedding", "")
			recordings, made := map[any]int{}, []exampleRow{}
			for _, row := range append(fresh, stale...) {
				speaker := row["speaker_id"]
				if recordings[speaker]++; recordings[speaker] == 1 {
					made = append(made, derive(row, exampleRow{"speaker_id": speaker, "n_dim": 512, "path": fmt.Sprintf("embeddings/%s.npy", speaker)}))
				}
			}
			r.say("Found %d speakers", len(made))
			for speaker, n := range recordings {
				r.say("speaker %s from %d audio recordings", speaker, n)
			}
			if len(made) > 0 {
				r.say("embeddings for %d speakers", len(made))
				r.write("speaker/embedding", made)
			}
		},
	},
	"basic": {
		definitions: "features.yaml",
		patches:     []patch{{"features.yaml", `{key: embeddings, code_version: "1"}`, `{key: embeddings, code_version: "2"}`}},
		counts:      regexp.MustCompile(`Written \d+ rows|\d+ new samples|\d+ samples with new provenance|sample_uid=\d: \{'predictions': '\d+'\}`),
		pipeline: func(r *exampleRun) {
			if len(r.read("examples/parent")) == 0 {
				samples := r.lines("parent.jsonl")
				r.write("examples/parent", samples)
				r.say("Written %d rows", len(samples))
			}
			fresh, stale := r.resolve("examples/child", "")
			r.say("Identified: %d new samples, %d samples with new provenance_by_field", len(fresh), len(stale))
			if r.write("examples/child", append(fresh, stale...)); len(fresh) > 0 {
				r.say("Materialized %d new samples", len(fresh))
			}
			for _, row := range r.read("examples/child") {
				r.say("sample_uid=%v: {'predictions': '%s'}", row["sample_uid"], row["metaxy_provenance_by_field"].(exampleRow)["predictions"])
			}
		},
	},
	"expansion": {
		definitions: "features.toml",
		patches:     []patch{{"features.toml", `{key = "audio", code_version = "1"}`, `{key = "audio", code_version = "2"}`}},
		counts:      regexp.MustCompile(`Found \d+ new videos(?: and \d+ stale videos)?|Writing \d+ chunks for video \d|Found \d+ new video chunks and \d+ stale video chunks|results for \d+ chunks`),
		pipeline: func(r *exampleRun) {
			fresh, stale := r.resolve("video/raw", "raw.jsonl")
			if len(fresh) > 0 {
				r.say("Found %d new videos", len(fresh))
			}
			r.write("video/raw", append(fresh, stale...))
			fresh, stale = r.resolve("video/chunk", "")
			r.say("Found %d new videos and %d stale videos", len(fresh), len(stale))
			for _, video := range append(fresh, stale...) {
				// The program draws the number of chunks, and below the number of faces; these are the recorded ones.
				chunks := make([]exampleRow, map[string]int{"1": 3, "2": 3, "3": 5}[fmt.Sprint(video["video_id"])])
				for i := range chunks {
					chunks[i] = derive(video, exampleRow{"video_chunk_id": fmt.Sprintf("%v_%d", video["video_id"], i), "video_id": video["video_id"], "path": fmt.Sprintf("%v_%d", video["path"], i)})
				}
				r.say("Writing %d chunks for video %v", len(chunks), video["video_id"])
				r.write("video/chunk", chunks)
			}
			fresh, stale = r.resolve("video/faces", "")
			r.say("Found %d new video chunks and %d stale video chunks", len(fresh), len(stale))
			faces := map[any]int{"1_0": 4, "1_1": 3, "1_2": 3, "2_0": 2, "2_1": 1, "2_2": 10, "3_0": 8, "3_1": 1, "3_2": 9, "3_3": 6, "3_4": 0}
			var found []exampleRow
			for _, chunk := range append(fresh, stale...) {
				found = append(found, derive(chunk, exampleRow{"video_chunk_id": chunk["video_chunk_id"], "num_faces": faces[chunk["video_chunk_id"]]}))
			}
			if len(found) > 0 {
				r.say("results for %d chunks", len(found))
				r.write("video/faces", found)
			}
		},
	},
	"quickstart": {
		definitions: "features.yaml",
		counts:      regexp.MustCompile(`\[\w+\] \d+ new, \d+ stale|\[\w+\] Wrote \d+ samples`),
		pipeline: func(r *exampleRun) {
			for _, f := range []struct{ name, key, samples, file string }{{"Video", "video", "video.jsonl", "video.mp4"}, {"Audio", "audio", "", "audio.wav"}} {
				fresh, stale := r.resolve(f.key, f.samples)
				r.say("[%s] %d new, %d stale", f.name, len(fresh), len(stale))
				rows := append(fresh, stale...)
				for _, row := range rows {
					row["path"] = fmt.Sprintf("/data/processed/%s/%s/%s", row["id"], row["metaxy_provenance"], f.file)
				}
				if len(rows) > 0 {
					r.write(f.key, rows)
					r.say("[%s] Wrote %d samples", f.name, len(rows))
				}
			}
		},
	},
	"overview": {
		definitions: "features.json",
		patches:     []patch{{"features.json", `{"key": "audio", "code_version": "1"}`, `{"key": "audio", "code_version": "2"}`}},
	},
}

// derive gives made the provenance of the row it was made from.
func derive(from, made exampleRow) exampleRow {
	for _, name := range []string{"metaxy_provenance_by_field", "metaxy_provenance"} {
		made[name] = from[name]
	}
	return made
}

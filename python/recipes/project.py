"""Two features, for the recipes: videos come from outside, a transcript is made of the sound of each."""

from __future__ import annotations

import metaxy as mx


class Video(
    mx.BaseFeature,
    spec=mx.FeatureSpec(
        key="video/raw",
        id_columns=["video_id"],
        fields=[mx.FieldSpec(key="audio", code_version="1"), mx.FieldSpec(key="frames", code_version="1")],
    ),
):
    video_id: str
    path: str


class Transcript(
    mx.BaseFeature,
    spec=mx.FeatureSpec(
        key="audio/transcript",
        id_columns=["video_id"],
        deps=[mx.FeatureDep(feature=Video, select=("path",))],
        fields=[mx.FieldSpec(key="text", code_version="1", deps=[mx.FieldDep(feature=Video, fields=["audio"])])],
    ),
):
    video_id: str
    words: int

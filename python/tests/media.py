"""A small media project: what real Metaxy writes on a first day, and what changes on the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import metaxy as mx
import narwhals as nw
import polars as pl
from metaxy.models.feature import FeatureGraph

VIDEOS = 40


def features(crop_version: str = "1") -> FeatureGraph:
    """Return the graph; another crop_version makes every crop stale."""
    graph = FeatureGraph()
    with graph.use():

        class VideoRaw(
            mx.BaseFeature,
            spec=mx.FeatureSpec(
                key="video/raw",
                id_columns=["video_id"],
                fields=[
                    mx.FieldSpec(key="audio", code_version="1"),
                    mx.FieldSpec(key="frames", code_version="1"),
                ],
            ),
        ):
            video_id: str
            path: str
            duration: float

        class VideoCrop(
            mx.BaseFeature,
            spec=mx.FeatureSpec(
                key="video/crop",
                id_columns=["video_id", "crop_id"],
                deps=[
                    mx.FeatureDep(
                        feature=VideoRaw,
                        select=("path", "duration"),
                        lineage=mx.LineageRelationship.expansion(on=["video_id"]),
                    )
                ],
                fields=[mx.FieldSpec(key="frames", code_version=crop_version)],
            ),
        ):
            video_id: str
            crop_id: int

        class FaceEmbedding(
            mx.BaseFeature,
            spec=mx.FeatureSpec(
                key="face/embedding",
                id_columns=["video_id", "crop_id"],
                deps=[mx.FeatureDep(feature=VideoCrop, select=("crop_path",))],
                fields=[mx.FieldSpec(key="embedding", code_version="1")],
            ),
        ):
            video_id: str
            crop_id: int

        class AudioTranscript(
            mx.BaseFeature,
            spec=mx.FeatureSpec(
                key="audio/transcript",
                id_columns=["video_id"],
                deps=[mx.FeatureDep(feature=VideoRaw, select=("path",))],
                fields=[
                    mx.FieldSpec(key="text", code_version="1", deps=[mx.FieldDep(feature=VideoRaw, fields=["audio"])])
                ],
            ),
        ):
            video_id: str

        class PersonSummary(
            mx.BaseFeature,
            spec=mx.FeatureSpec(
                key="person/summary",
                id_columns=["video_id"],
                deps=[
                    mx.FeatureDep(
                        feature=FaceEmbedding,
                        select=(),
                        lineage=mx.LineageRelationship.aggregation(on=["video_id"]),
                    ),
                    mx.FeatureDep(feature=AudioTranscript, select=()),
                ],
                fields=[mx.FieldSpec(key="summary", code_version="1")],
            ),
        ):
            video_id: str

    return graph


def raw(audio: str = "a", frames: str = "f", first: int = 0, count: int = VIDEOS) -> pl.DataFrame:
    """Return samples of the root feature."""
    numbers = range(first, first + count)
    frame = pl.DataFrame(
        {
            "video_id": [f"vid_{i:05d}" for i in numbers],
            "path": [f"s3://bucket/vid_{i:05d}.mp4" for i in numbers],
            "duration": [float(i * 7 % 100) for i in numbers],
        }
    )
    return frame.with_columns(
        metaxy_provenance_by_field=pl.struct(
            audio=pl.format(audio + "{}", pl.col("video_id")), frames=pl.format(frames + "{}", pl.col("video_id"))
        )
    )


def fill(store: Any, *, then: Callable[[], None] = lambda: None) -> None:
    """Write two days into a store, in whatever graph is active. then is called between them."""
    with store.open("w"):
        store.write("video/raw", raw())
        crops = store.resolve_update("video/crop").to_polars().new
        crops = crops.select(pl.exclude("crop_id")).join(pl.DataFrame({"crop_id": [0, 1, 2]}), how="cross")
        store.write("video/crop", crops.with_columns(crop_path=pl.format("c/{}_{}.mp4", "video_id", "crop_id")))
        faces = store.resolve_update("face/embedding").to_polars().new
        store.write("face/embedding", faces.with_columns(emb_path=pl.lit("x")))
        words = store.resolve_update("audio/transcript").to_polars().new
        store.write("audio/transcript", words.with_columns(n_words=pl.col("video_id").str.slice(4).cast(pl.Int64)))
        store.write("person/summary", store.resolve_update("person/summary").to_polars().new.unique("video_id"))
        then()
        store.write(
            "video/raw",
            pl.concat(
                [
                    raw(audio="A2", count=5),
                    raw(frames="F2", first=10, count=3),
                    raw(first=VIDEOS, count=2),
                ]
            ),
        )
        store.delete("video/raw", nw.col("video_id").is_in(["vid_00020", "vid_00021"]), soft=True)


KEYS = ("video/raw", "video/crop", "face/embedding", "audio/transcript", "person/summary")

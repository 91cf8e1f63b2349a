"""The graph of features as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from metaxy.models.feature import FeatureGraph
from metaxy.models.types import FeatureKey

_WIDTH, _LINE, _PAD, _GAP_X, _GAP_Y = 7.2, 16, 10, 60, 24
_STYLE = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px"


@dataclass(frozen=True)
class GraphPicture:
    """A picture: `svg` is its text, and a notebook shows it."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str) -> None:
        """Write the picture to a file."""
        with open(path, "w", encoding="utf-8") as f:
            f.write(self.svg)


def picture(graph: FeatureGraph) -> GraphPicture:
    """Return the features from left to right, each right of all that it depends on, with their fields and the beginning of their versions."""
    specs = {k: d.spec for k, d in graph.feature_definitions_by_key.items()}
    deps = {k: [d.feature for d in s.deps or () if d.feature in specs] for k, s in specs.items()}
    texts = {
        k: [k.to_string(), f"v {graph.get_feature_version(k)[:8]}", *(f"- {f.key.to_string()}" for f in s.fields)]
        for k, s in specs.items()
    }
    size = {k: (max(map(len, t)) * _WIDTH + 2 * _PAD, len(t) * _LINE + 2 * _PAD) for k, t in texts.items()}
    place: dict[FeatureKey, tuple[float, float]] = {}
    x = bottom = 0.0
    for column in _columns(deps):
        y = 0.0
        for key in column:
            place[key] = (x, y)
            y += size[key][1] + _GAP_Y
        bottom = max(bottom, y - _GAP_Y)
        x += max(size[k][0] for k in column) + _GAP_X
    width, height = max(x - _GAP_X, 0) + 2, bottom + 2
    lines = [_edge(place[d], size[d], place[k], size[k]) for k in place for d in deps[k]]
    boxes = [_box(place[k], size[k], texts[k], root=not deps[k]) for k in place]
    return GraphPicture(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="-1 -1 {width:.0f} {height:.0f}" style="{_STYLE}">'
        + "".join(lines + boxes)
        + "</svg>"
    )


def _columns(deps: dict[FeatureKey, list[FeatureKey]]) -> list[list[FeatureKey]]:
    """Return features in columns: sources first, every other one right of all that it depends on. What lies on a cycle comes last."""
    columns: list[list[FeatureKey]] = []
    done: set[FeatureKey] = set()
    while len(done) < len(deps):
        ready = sorted(k for k in deps if k not in done and all(d in done for d in deps[k]))
        ready = ready or sorted(k for k in deps if k not in done)
        columns.append(ready)
        done.update(ready)
    return columns


def _box(at: tuple[float, float], size: tuple[float, float], texts: list[str], *, root: bool) -> str:
    x, y = at
    fill = "#eef5ff" if root else "#ffffff"
    lines = "".join(
        f'<text x="{x + _PAD:.0f}" y="{y + _PAD + _LINE * (i + 0.75):.0f}"{_weight(i)}>{escape(t)}</text>'
        for i, t in enumerate(texts)
    )
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{size[0]:.0f}" height="{size[1]:.0f}" rx="6" fill="{fill}" stroke="#5b6b7f"/>{lines}'


def _weight(line: int) -> str:
    return ' font-weight="bold"' if line == 0 else ' fill="#5b6b7f"'


def _edge(
    a: tuple[float, float], a_size: tuple[float, float], b: tuple[float, float], b_size: tuple[float, float]
) -> str:
    x1, y1 = a[0] + a_size[0], a[1] + a_size[1] / 2
    x2, y2 = b[0], b[1] + b_size[1] / 2
    mid = (x1 + x2) / 2
    return f'<path d="M{x1:.0f} {y1:.0f}C{mid:.0f} {y1:.0f} {mid:.0f} {y2:.0f} {x2:.0f} {y2:.0f}" fill="none" stroke="#5b6b7f"/>'

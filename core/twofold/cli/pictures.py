"""Pictures drawn with matplotlib, without a display: PNG, SVG, or an HTML page that contains the SVG."""

from __future__ import annotations

import html
import io
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from twofold.cli.say import plain
from twofold.errors import InputError
from twofold.extras import extra
from twofold.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from twofold.vectors import FloatArray

Form: TypeAlias = Literal["png", "svg", "html"]
FORMS: dict[str, Form] = {".png": "png", ".svg": "svg", ".html": "html", ".htm": "html"}
COLORS = 10
"""Values of a field that get their own colour. The others share one."""
OTHERS = "other"
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 16px sans-serif; margin: 2rem; }} svg {{ max-width: 100%; height: auto; }}</style></head>
<body><h1>{title}</h1>
{svg}
</body></html>
"""


@dataclass(frozen=True, slots=True)
class Points:
    """The points of a map: vectors with names, and the values of the field that colours them."""

    title: str
    vectors: Sequence[FloatArray]
    names: Sequence[str]
    field: str | None = None
    values: Sequence[Any] | None = None


def form_of(output: Path) -> Form:
    """The format of a picture, by the ending of its file name.

    Raises:
        InputError: the ending is not supported.
        MissingExtra: matplotlib is not installed.
    """
    if output.suffix.lower() not in FORMS:
        raise InputError(f"{output}: unknown picture format; use a file name ending in {', '.join(FORMS)}")
    with extra("plot"):
        import matplotlib as mpl  # noqa: F401, PLC0415 - optional; raises before any work is done
    return FORMS[output.suffix.lower()]


def flat(vectors: FloatArray) -> tuple[FloatArray, tuple[float, float]]:
    """The first two principal components, shape (n, 2), and each component's share of the variance.

    The sign of each direction is chosen so that its largest entry is positive: the same vectors give the same map.
    """
    centred = vectors - vectors.mean(axis=0)
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    directions *= np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])[:, None]
    places = centred @ directions.T
    shares = strengths**2 / max(float((strengths**2).sum()), 1e-30)
    if places.shape[1] < 2:
        places, shares = np.pad(places, ((0, 0), (0, 1))), np.append(shares, 0.0)
    return places, (float(shares[0]), float(shares[1]))


def draw_map(points: Points, form: Form) -> bytes:
    """Draw a point for each vector, at its place by `flat`."""
    places, shares = flat(np.asarray(points.vectors, np.float32))
    with _figure((9, 7)) as (figure, axes):
        if points.values is None:
            axes.scatter(*places.T, s=12, alpha=0.7)
        elif _is_number(points.values):
            numbers = [np.nan if value is None else value for value in points.values]
            drawn = axes.scatter(*places.T, c=numbers, s=12, alpha=0.8, cmap="viridis")
            figure.colorbar(drawn, ax=axes, label=plain(points.field or ""))
        else:
            _by_value(axes, places, points)
        axes.set_xlabel(f"first component, {shares[0]:.0%} of the variance")
        axes.set_ylabel(f"second component, {shares[1]:.0%}")
        return _saved(figure, axes, points.title, form)


def draw_similarities(vectors: FloatArray, names: Sequence[str], form: Form) -> bytes:
    """Draw a coloured table of the cosines of texts."""
    unit = normalize(vectors)
    cosines = unit @ unit.T
    side = max(5.0, 0.7 * len(names) + 3)
    with _figure((side + 1, side)) as (figure, axes):
        drawn = axes.imshow(cosines, cmap="viridis", vmin=min(0.0, float(cosines.min())), vmax=1.0)
        figure.colorbar(drawn, ax=axes, label="cosine", fraction=0.046)
        labels = [_label(name) for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), labels)
        dark = float(cosines.min()) + 0.6 * (1.0 - float(cosines.min()))
        for (y, x), value in np.ndenumerate(cosines):
            axes.text(x, y, f"{value:.2f}", ha="center", va="center", color="white" if value < dark else "black")
        return _saved(figure, axes, "similarities", form)


def draw_curves(curves: Mapping[str, Sequence[tuple[float, float]]], labels: tuple[str, str, str], form: Form) -> bytes:
    """Draw a line through the points of each curve, with a logarithmic x axis. `labels`: title, x axis, y axis."""
    title, across, upward = labels
    with _figure((9, 6)) as (figure, axes):
        for name, points in curves.items():
            axes.plot(*zip(*sorted(points), strict=True), marker="o", label=_label(name))
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(across)
        axes.set_ylabel(upward)
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize="small")
        return _saved(figure, axes, title, form)


def _by_value(axes: Any, places: FloatArray, points: Points) -> None:
    """Draw the points with one colour for each of the most common values."""
    values = [OTHERS if value is None else str(value) for value in points.values or ()]
    common = [value for value, _ in Counter(values).most_common(COLORS) if value != OTHERS]
    for value in (*common, OTHERS):
        chosen = np.array([(one if one in common else OTHERS) == value for one in values])
        if chosen.any():
            gray = {"color": "lightgray"} if value == OTHERS else {}
            axes.scatter(*places[chosen].T, s=12, alpha=0.7, label=_label(value), **gray)
    axes.legend(title=_label(points.field or ""), loc="best", fontsize="small")


def _is_number(values: Sequence[Any]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in there)


def _label(text: str) -> str:
    """Escape a label: matplotlib reads a dollar sign as the start of a formula."""
    return plain(text).replace("$", r"\$")


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator[tuple[Any, Any]]:
    from matplotlib import rc_context  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415

    with rc_context({"svg.hashsalt": "twofold", "svg.fonttype": "none"}):
        figure = Figure(size, layout="constrained")
        yield figure, figure.subplots()


def _saved(figure: Any, axes: Any, title: str, form: Form) -> bytes:
    axes.set_title(_label(title))
    stream = io.BytesIO()
    drawn = "svg" if form == "html" else form
    figure.savefig(stream, format=drawn, dpi=150, metadata={"Date": None} if drawn == "svg" else None)
    if form != "html":
        return stream.getvalue()
    svg = stream.getvalue().decode()
    return PAGE.format(title=html.escape(title), svg=svg[svg.index("<svg") :]).encode()

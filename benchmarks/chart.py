"""Bar charts as SVG, readable on light and on dark pages."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

__all__ = ["Bar", "bar_chart"]

_WIDTH, _LABELS, _FIGURES, _ROW, _TOP, _BOTTOM = 800, 310, 70, 26, 44, 52
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.small { font-size: 12px; fill: #59636e; }
.ours { fill: #0a69da; }
.other { fill: #9aa4af; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .small { fill: #9198a1; }
  .ours { fill: #4493f8; }
  .other { fill: #656c76; }
  .grid { stroke: #3d444d; }
}
"""


@dataclasses.dataclass(frozen=True)
class Bar:
    """One bar.

    Args:
        label: who.
        value: how much, not negative.
        figure: the same for people.
        is_ours: whether it stands out.
    """

    label: str
    value: float
    figure: str
    is_ours: bool = False


def ticks(largest: float, most: int = 6) -> list[float]:
    """Return round numbers from 0 up to at least the largest value."""
    if largest <= 0:
        return [0.0, 1.0]
    step = 10.0 ** math.floor(math.log10(largest / most))
    factor = next(factor for factor in (1, 2, 5, 10) if largest / (step * factor) <= most)
    count = math.ceil(largest / (step * factor) - 1e-9)
    return [round(step * factor * i, 10) for i in range(count + 1)]


def bar_chart(title: str, axis: str, bars: Sequence[Bar]) -> str:
    """Return a chart of horizontal bars.

    Args:
        title: above it.
        axis: what the bars measure, with the unit, and which way is better.
        bars: from top to bottom.
    """
    marks = ticks(max((bar.value for bar in bars), default=0))
    room = _WIDTH - _LABELS - _FIGURES
    scale = room / marks[-1]
    bottom = _TOP + _ROW * len(bars)
    height = bottom + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
    ]
    for mark in marks:
        x = _LABELS + mark * scale
        place = f'x="{x:.1f}" y="{bottom + 18}" text-anchor="middle"'
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="small" {place}>{mark:g}</text>')
    for number, bar in enumerate(bars):
        y = _TOP + _ROW * number
        length = max(bar.value * scale, 1.0)
        kind = "ours" if bar.is_ours else "other"
        parts += [
            f'<text x="{_LABELS - 8}" y="{y + 18}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{kind}" x="{_LABELS}" y="{y + 4}" width="{length:.1f}" height="18"/>',
            f'<text x="{_LABELS + length + 6:.1f}" y="{y + 18}">{escape(bar.figure)}</text>',
        ]
    parts.append(
        f'<text class="small" x="{_LABELS + room / 2:.1f}" y="{bottom + 40}"'
        f' text-anchor="middle">{escape(axis)}</text>'
    )
    return "\n".join([*parts, "</svg>", ""])

"""Every policy on many seeds of each kind of trace, as a table and as a plot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .bound import lower_bound
from .makers import MAKERS, without_churn
from .measure import POLICIES, as_json, measure

Seeds = list[dict[str, dict[str, float]]]  #: for each seed the figures of each policy
COLUMNS = (
    ("makespan_ratio", "makespan / bound", "{:.3f}"),
    ("mean_wait_s", "mean wait s", "{:.0f}"),
    ("p95_wait_s", "p95 wait s", "{:.0f}"),
    ("fairness", "fairness", "{:.3f}"),
    ("load_s", "loading s", "{:.0f}"),
    ("idle_while_waiting_s", "idle while waiting s", "{:.0f}"),
    ("lost", "lost", "{:.0f}"),
    ("decisions_per_s", "decisions / s", "{:.0f}"),
)


def collect(kind: str, seeds: Iterable[int]) -> Seeds:
    """The figures of all policies for traces of this kind; for churn, ours without it too."""
    found: Seeds = []
    for seed in seeds:
        trace = MAKERS[kind](seed)
        bound_s = lower_bound(trace)
        figures = {name: measure(trace, name, bound_s) for name in POLICIES}
        if kind == "churn":
            figures["ours, no churn"] = measure(without_churn(seed), "ours")
        found.append(as_json(figures))
    return found


def markdown(kind: str, seeds: Seeds) -> str:
    """A table with the means over the seeds, and how ours compares with the best rival of each seed."""
    lines = [
        f"### {kind}",
        "",
        "| policy | " + " | ".join(title for _, title, _ in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for policy in seeds[0]:
        cells = [form.format(_mean(seeds, policy, key)) for key, _, form in COLUMNS]
        lines.append(f"| {policy} | " + " | ".join(cells) + " |")
    lines += ["", verdict(seeds), ""]
    return "\n".join(lines)


def verdict(seeds: Seeds) -> str:
    """Ours against the best rival of each seed: the worst seed, and the mean."""
    words = []
    for key, title in (("makespan_ratio", "makespan"), ("p95_wait_s", "p95 wait")):
        ratios = [seed["ours"][key] / min(seed[name][key] for name in _rivals(seed)) for seed in seeds]
        words.append(f"{title} {sum(ratios) / len(ratios):.3f} of it (worst seed {max(ratios):.3f})")
    worst = max(seed["ours"]["makespan_ratio"] for seed in seeds)
    load = _mean(seeds, "ours", "load_s") / max(_mean(seeds, "least_queue", "load_s"), 1e-9)
    text = f"Ours against the best rival of each of {len(seeds)} seeds: {', '.join(words)}; "
    text += f"worst makespan {worst:.3f} of the bound; loading {load:.2f} of least_queue's."
    if "ours, no churn" in seeds[0]:
        ratios = [seed["ours"]["p95_wait_s"] / seed["ours, no churn"]["p95_wait_s"] for seed in seeds]
        text += f" p95 wait with churn: at most {max(ratios):.3f} of that without."
    return text


def save(kind: str, seeds: Seeds, path: Path) -> None:
    """Put a kind into the file, beside what is there of other kinds."""
    found = load(path) if path.exists() else {}
    path.write_text(json.dumps({**found, kind: seeds}), "utf-8")


def load(path: Path) -> dict[str, Seeds]:
    found: dict[str, Seeds] = json.loads(path.read_text("utf-8"))
    return found


def plot(found: dict[str, Seeds], key: str, title: str, *, longest: float) -> str:
    """An SVG: for each kind of trace a bar for each policy; a bar longer than `longest` is cut."""
    policies = list(POLICIES)
    shades = ("#2463eb", "#b9c0cb", "#8f9aab", "#6f7c90", "#e0a13a", "#4f9d69", "#c2574b")
    bar, gap, left, width = 11, 16, 130, 560
    rows = [(kind, seeds) for kind, seeds in found.items() if kind in MAKERS]
    height = 60 + len(rows) * (bar * len(policies) + gap)
    out: list[Any] = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="10" y="20" font-size="14">{title}</text>',
    ]
    at = 10
    for shade, policy in zip(shades, policies, strict=True):
        out.append(f'<rect x="{at}" y="30" width="9" height="9" fill="{shade}"/>')
        out.append(f'<text x="{at + 13}" y="39">{policy}</text>')
        at += 30 + 7 * len(policy)
    y = 55
    for kind, seeds in rows:
        out.append(f'<text x="10" y="{y + bar * len(policies) / 2 + 4}">{kind}</text>')
        for shade, policy in zip(shades, policies, strict=True):
            value = _mean(seeds, policy, key)
            size = width * min(value, longest) / longest
            out.append(f'<rect x="{left}" y="{y}" width="{size:.1f}" height="{bar - 2}" fill="{shade}"/>')
            form = f"{value:.2f}" if value < 100 else f"{value:.0f}"
            out.append(f'<text x="{left + size + 4:.1f}" y="{y + bar - 3}" font-size="9">{form}</text>')
            y += bar
        y += gap
    return "\n".join([*out, "</svg>", ""])


def _rivals(seed: dict[str, Any]) -> Sequence[str]:
    return [name for name in seed if not name.startswith("ours")]


def _mean(seeds: Seeds, policy: str, key: str) -> float:
    return sum(seed[policy][key] for seed in seeds) / len(seeds)

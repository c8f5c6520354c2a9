"""Curves of runs side by side, from their logs: python benchmarks/curves.py OUT.png RUN [RUN …]

One colour a run, its stages one after another (dotted lines between them). Needs matplotlib.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

#: Title, keys of the log with their line styles, scale of the y axis.
PANELS = (
    ("fidelity — and coverage - - (EMA)", {"ema/fidelity": "-", "ema/coverage": "--"}, "linear"),
    ("teacher_estimator_gap: rms of f_φ − f_ψ", {"teacher_estimator_gap": "-"}, "linear"),
    ("estimator_lag — and μ - -", {"estimator_lag": "-", "mu": "--"}, "linear"),
    ("estimator/score: ψ's denoising loss", {"estimator/score": "-"}, "log"),
    ("self-BLEU of 3 draws (EMA)", {"ema/self_bleu": "-"}, "linear"),
    ("gradients at e: score — direct - -", {"gradient/score": "-", "gradient/direct": "--"}, "log"),
)


def stages(run: Path) -> list[tuple[str, list[dict]]]:
    """Return the entries of each stage of distillation, in order."""
    found: dict[str, list[dict]] = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["stage"] != "pretrain":
            found.setdefault(entry["stage"], []).append(entry)
    return list(found.items())


def smooth(values: list[float], width: int = 5) -> list[float]:
    """Return the mean over the last ``width`` values, for what is logged of one batch."""
    return [
        sum(part) / len(part) for i in range(len(values)) if (part := values[max(0, i - width + 1) : i + 1])
    ]


def main(out: str, *runs: str) -> None:
    figure, axes = plt.subplots(2, 3, figsize=(15, 7.5), layout="constrained")
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    for run, colour in zip(map(Path, runs), colours, strict=False):
        start = 0
        for _, entries in stages(run):
            for axis, (_, keys, _) in zip(axes.flat, PANELS, strict=True):
                for key, style in keys.items():
                    # A validation repeats the values of its training step.
                    kind = "validation" if key.startswith("ema/") else "train"
                    logged = [entry for entry in entries if entry["kind"] == kind and key in entry]
                    seen = [(start + entry["step"], entry[key]) for entry in logged]
                    if seen:
                        steps, values = zip(*seen, strict=True)
                        drawn = values if kind == "validation" else smooth(list(values))
                        axis.plot(steps, drawn, style, color=colour, linewidth=1.4)
                if start:
                    axis.axvline(start, color=colour, linestyle=":", linewidth=0.8)
            start += entries[-1]["step"]
        axes[0, 0].plot([], [], color=colour, label=run.name)
    for axis, (title, _, scale) in zip(axes.flat, PANELS, strict=True):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.set_yscale(scale)
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylim(0, 1)
    axes[0, 2].set_ylim(-0.5, 1.5)
    figure.legend(loc="outside upper center", ncols=min(len(runs), 6))
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

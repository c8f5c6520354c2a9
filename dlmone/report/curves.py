"""Figures of the training: validation (the paper's Figure 4), losses, signs of health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .drawing import COLOURS, GREY, Picture, handles, legend, look, panels, runs_entries, series_entries
from .log import Curve, curve, smooth
from .measures import HEALTH, PANELS, Direction, drawn, heading, ordered
from .reading import RunData
from .systems import Systems, scores_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Panel:
    """Some logged values that belong together.

    Attributes:
        keys: by their names in the log.
        kind: of the entries they are read from.
        log_scale: whether the y axis is logarithmic.
        spanned: what the y axis reaches over at least, so that small changes look small.
    """

    title: str
    keys: Sequence[str]
    kind: str = "train"
    log_scale: bool = False
    spanned: tuple[float, float] | None = None


def validation(runs: Sequence[RunData]) -> Picture | None:
    """Draw every run's validation scores over the steps of all its stages (the paper's Figure 4)."""
    directions: dict[str, Direction] = {}
    for run in runs:
        directions |= scores_of(Systems.of(run.results).all)
    logged = dict.fromkeys(
        key.partition("/")[2]
        for run in runs
        for key in run.log.keys("validation", lambda key: key.startswith(("ema/", "raw/")))
    )
    known = drawn({name: directions.get(name, "higher") for name in logged if name not in HEALTH})
    if not known:
        return None
    shown = [Panel(heading(name, directions), (f"ema/{name}", f"raw/{name}"), "validation") for name in known]
    figure = _figure(runs, shown, markers=True, labels=("average of θ (EMA)", "θ itself (raw)"))
    for run, colour in zip(runs, COLOURS * len(runs), strict=False):
        _mark_best(run, known, figure.axes, colour if len(runs) > 1 else COLOURS[0])
    return Picture("validation", "Validation over the steps of all stages", _alt(runs, shown), figure)


def losses(runs: Sequence[RunData]) -> Picture | None:
    """Draw the losses of θ and ψ, each by the name of its objective."""
    shown = [
        Panel(f"{title}: {name}", (f"{role}/{name}",), log_scale=role == "estimator")
        for role, title in (("estimator", "ψ's loss"), ("generator", "θ's loss"))
        for name in _names(runs, f"{role}/")
    ]
    if not shown:
        return None
    return Picture("losses", "Losses over steps", _alt(runs, shown), _figure(runs, shown))


def pretraining(runs: Sequence[RunData]) -> Picture | None:
    """Draw the teacher's own training where it was part of the run."""
    taught = [run for run in runs if run.log.pretraining]
    entries = [entry for run in taught for entry in run.log.pretraining]
    validated = {key for entry in entries if entry["kind"] == "validation" for key in entry}
    logged = {key for entry in entries if entry["kind"] == "train" for key in entry}
    names = [name for name in ordered(validated - logged) if name not in (*HEALTH, "stage", "kind", "step")]
    kinds = [("train", "loss", True), *(("validation", name, False) for name in names[:2])]
    kinds = [one for one in kinds if one[1] in validated | logged]
    if not kinds:
        return None
    figure, axes = panels(len(kinds))
    for axis, (kind, key, log_scale) in zip(axes, kinds, strict=True):
        for place, run in enumerate(taught):
            found = curve(run.log.pretraining, kind, key)
            line = smooth(found) if kind == "train" else found
            marker = "o" if kind == "validation" else None
            axis.plot(line.steps, line.values, marker=marker, markersize=3, **look(place, 0, len(taught)))
        _finish(axis, "training loss" if kind == "train" else f"validation: {key}", log_scale)
    legend(figure, runs_entries([run.name for run in taught]))
    shown = [Panel(key, (key,)) for _, key, _ in kinds]
    return Picture("pretraining", "The teacher's training", _alt(taught, shown), figure)


def health(runs: Sequence[RunData]) -> Picture | None:
    """Draw the signs of a healthy or failing run (docs/health.md reads them)."""
    names = _names(runs, "gradient/")
    wanted = [
        Panel("distance of φ and ψ: rms of f_φ − f_ψ", ("teacher_estimator_gap",)),
        Panel("ψ's lag, and μ", ("estimator_lag", "mu")),
        Panel("gradient norms at θ's output", [f"gradient/{name}" for name in names], log_scale=True),
        Panel("D(real) and D(generated)", ("d_real", "d_fake"), spanned=(0.4, 0.6)),
        Panel(
            "shares of outputs that are …",
            ("ema/empty", "ema/repetitive", "ema/copied"),
            "validation",
            spanned=(0, 0.1),
        ),
        Panel("mean length in words", ("ema/mean_length",), "validation"),
        Panel("losses that were not finite", ("non_finite",)),
    ]
    shown = [panel for panel in wanted if _logged(runs, panel)]
    # A count that stays at zero needs no panel.
    if shown and shown[-1].keys == ("non_finite",) and not _ever(runs, "non_finite"):
        shown.pop()
    if not shown:
        return None
    return Picture("health", "Signs of health over steps", _alt(runs, shown), _figure(runs, shown))


def _figure(
    runs: Sequence[RunData], shown: Sequence[Panel], markers: bool = False, labels: Sequence[str] = ()
) -> Figure:
    figure, axes = panels(len(shown))
    for axis, panel in zip(axes, shown, strict=True):
        for place, run in enumerate(runs):
            for series, key in enumerate(panel.keys):
                looks = look(place, series, len(runs))
                for number, one in enumerate(run.log.curves(panel.kind, key)):
                    _line(axis, one, panel.kind, key if number == 0 and place == 0 else None, markers, looks)
        _finish(axis, panel.title, panel.log_scale)
        for place, run in enumerate(runs):
            _mark_stages(axis, run, COLOURS[place % len(COLOURS)] if len(runs) > 1 else GREY, len(runs) == 1)
        # All stages, also where a value was not logged in the first.
        end = max((stage.start + stage.last for run in runs for stage in run.log.stages), default=0)
        axis.set_xlim(-0.03 * end, 1.03 * end)
        if panel.spanned:
            bottom, top = axis.get_ylim()
            axis.set_ylim(min(bottom, panel.spanned[0]), max(top, panel.spanned[1]))
        if len(panel.keys) > 1 and not labels:
            names = [key.rpartition("/")[2] for key in panel.keys]
            axis.legend(handles=handles(series_entries(names, len(runs))), frameon=False)
    legend(figure, [*runs_entries([run.name for run in runs]), *series_entries(labels, len(runs))])
    return figure


def _line(axis: Axes, one: Curve, kind: str, label: str | None, markers: bool, looks: dict[str, str]) -> None:
    line = one if kind == "validation" else smooth(one)
    marker = "o" if markers and looks["linestyle"] == "-" else None
    axis.plot(line.steps, line.values, marker=marker, markersize=3, label=label, **looks)


def _mark_stages(axis: Axes, run: RunData, colour: str, named: bool) -> None:
    """Draw a dotted line where a stage begins, with its name where there is room for names."""
    for stage in run.log.stages:
        if stage.start:
            axis.axvline(stage.start, color=colour, linestyle=":", linewidth=1)
        if named and len(run.log.stages) > 1:
            axis.annotate(
                stage.name,
                (stage.start, 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, -1),
                textcoords="offset points",
                va="top",
                fontsize=7,
                color=GREY,
            )


def _mark_best(run: RunData, names: Sequence[str], axes: Sequence[Axes], colour: str) -> None:
    """Ring the steps whose students were published: the best of each stage by its deciding score."""
    for stage in run.log.stages:
        step = run.best(stage.name).get("best_step")
        for axis, name in zip(axes, names, strict=True):
            for entry in stage.entries:
                if entry["kind"] == "validation" and entry["step"] == step and f"ema/{name}" in entry:
                    place = (stage.start + entry["step"], entry[f"ema/{name}"])
                    axis.plot(*place, "o", markersize=9, markerfacecolor="none", color=colour)


def _finish(axis: Axes, title: str, log_scale: bool) -> None:
    axis.set_title(title)
    axis.set_xlabel("step")
    axis.margins(y=0.12)
    values = [value for line in axis.lines for value in line.get_ydata()]
    if log_scale and values and 0 < 10 * min(values) < max(values):
        axis.set_yscale("log")


def _names(runs: Sequence[RunData], prefix: str) -> list[str]:
    def wanted(key: str) -> bool:
        return key.startswith(prefix)

    found = dict.fromkeys(key for run in runs for key in run.log.keys("train", wanted))
    return [key.removeprefix(prefix) for key in found][:PANELS]


def _logged(runs: Sequence[RunData], panel: Panel) -> bool:
    return any(run.log.curves(panel.kind, key) for run in runs for key in panel.keys)


def _ever(runs: Sequence[RunData], key: str) -> bool:
    return any(any(one.values) for run in runs for one in run.log.curves("train", key))


def _alt(runs: Sequence[RunData], shown: Sequence[Panel]) -> str:
    """Say what is drawn, and where each line of the first panels begins and ends."""
    parts = []
    for panel in shown:
        for run in runs:
            curves = [one for key in panel.keys[:1] for one in run.log.curves(panel.kind, key)]
            if curves:
                first, last = curves[0].values[0], curves[-1].values[-1]
                whose = f"{run.name}: " if len(runs) > 1 else ""
                parts.append(f"{whose}{panel.title} from {first:.3g} to {last:.3g}")
    return "Curves over steps. " + "; ".join(parts)

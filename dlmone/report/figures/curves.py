"""Draw training: validation (the paper's Figure 4), losses, signs of health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlmone.core.step.objective import Chart

from ..log import Curve, Log, smooth
from ..measures import SIGNS, Measure, drawn, heading
from ..reading import RunData
from ..systems import Systems, scores_of
from .drawing import (
    COLOURS,
    GREY,
    STUDENT,
    Picture,
    handles,
    legend,
    look,
    panels,
    runs_entries,
    series_entries,
    within_share,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Panel:
    """Logged values drawn in one panel.

    Attributes:
        keys: by their names in the log.
        kind: of the entries they are read from.
        log_scale: whether the y axis is logarithmic.
        span: minimum range of the y axis, so that small changes look small.
    """

    title: str
    keys: Sequence[str]
    kind: str = "train"
    log_scale: bool = False
    span: tuple[float, float] | None = None


#: Share of an axis's height for the names of stages above the curves.
NAMES = 0.2

#: A run's name and the part of its log to draw.
Traced = tuple[str, Log]


def validation(runs: Sequence[RunData]) -> Picture | None:
    """Draw every run's validation scores over the steps of all its stages (the paper's Figure 4)."""
    scored: dict[str, Measure] = {}
    for run in runs:
        scored |= scores_of(Systems.of(run.results).all)
    traced = _distilled(runs)
    keys = _keys(traced, "validation", ("ema/", "raw/"))
    logged = [name for key in keys if (name := key.partition("/")[2]) not in SIGNS]
    # Without a final table, a run does not record how to read its scores.
    measures = {name: scored.get(name, Measure()) for name in dict.fromkeys([*scored, *logged])}
    known = drawn({name: one for name, one in measures.items() if name in logged})
    if not known:
        return None
    shown = [
        Panel(heading(name, measures[name]), (f"ema/{name}", f"raw/{name}"), "validation") for name in known
    ]
    figure = _figure(traced, shown, True, ("average of θ (EMA)", "θ itself (raw)"), STUDENT)
    for place, run in enumerate(runs):
        _mark_best(run, known, figure.axes, COLOURS[(place if len(runs) > 1 else STUDENT) % len(COLOURS)])
    return Picture("validation", "Validation over the steps of all stages", _alt(traced, shown), figure)


def losses(runs: Sequence[RunData]) -> Picture | None:
    """Draw the losses of ψ and θ, labelled by objective."""
    traced = _distilled(runs)
    shown = [
        Panel(f"{title}: {key.partition('/')[2]}", (key,), log_scale=prefix == "estimator/")
        for prefix, title in (("estimator/", "ψ's loss"), ("generator/", "θ's loss"))
        for key in _keys(traced, "train", (prefix,))
    ]
    if not shown:
        return None
    return Picture("losses", "Losses over steps", _alt(traced, shown), _figure(traced, shown))


def pretraining(runs: Sequence[RunData]) -> Picture | None:
    """Draw the teacher's pretraining if it was part of the run."""
    traced = [(run.name, log) for run in runs if (log := run.log.taught()).stages]
    logged = _keys(traced, "train", ("",))
    found = [key for key in _keys(traced, "validation", ("",)) if "/" not in key]
    scores = [key for key in found if key not in (*logged, *SIGNS)]
    shown = [Panel("training loss", ("loss",), log_scale=True)] if "loss" in logged else []
    shown += [Panel(f"validation: {name}", (name,), "validation") for name in scores[:2]]
    if not shown:
        return None
    figure = _figure(traced, shown, markers=True)
    return Picture("pretraining", "The teacher's training", _alt(traced, shown), figure)


def health(runs: Sequence[RunData], charts: Sequence[Chart]) -> Picture | None:
    """Draw the signs of a healthy or failing run (docs/health.md reads them).

    ``charts`` are those of the runs' objectives.
    """
    traced = _distilled(runs)
    wanted = [
        *(Panel(one.title, _named(traced, *one.names), span=one.span) for one in charts),
        Panel("gradient norms at θ's output", _keys(traced, "train", ("gradient/",)), log_scale=True),
        Panel(
            "shares of outputs that are …",
            ("ema/empty", "ema/repetitive", "ema/copied"),
            "validation",
            span=(0, 0.1),
        ),
        Panel("mean length in words", ("ema/mean_length",), "validation"),
    ]
    if any(any(one.values) for _, log in traced for one in log.curves("train", "non_finite")):
        wanted.append(Panel("non-finite losses so far", ("non_finite",)))
    shown = [
        panel
        for panel in wanted
        if any(log.curves(panel.kind, key) for _, log in traced for key in panel.keys)
    ]
    if not shown:
        return None
    return Picture("health", "Signs of health over steps", _alt(traced, shown), _figure(traced, shown))


def _figure(
    traced: Sequence[Traced],
    shown: Sequence[Panel],
    markers: bool = False,
    labels: Sequence[str] = (),
    system: int | None = None,
) -> Figure:
    """Draw panels; ``labels`` name the series of all of them, which are named in each panel otherwise.

    ``system`` is the one whose curves they all are: a single run's have its colour.
    """
    own = {"color": COLOURS[system]} if system is not None and len(traced) == 1 else {}
    figure, axes = panels(len(shown))
    end = max(log.end for _, log in traced)
    for axis, panel in zip(axes, shown, strict=True):
        for place, (_, log) in enumerate(traced):
            for series, key in enumerate(panel.keys):
                for one in log.curves(panel.kind, key):
                    _line(axis, one, panel.kind, markers, look(place, series, len(traced)) | own)
        _finish(axis, panel)
        # All stages, also where a value was not logged in the first.
        axis.set_xlim(-0.03 * end, 1.03 * end)
        for place, (_, log) in enumerate(traced):
            _mark_stages(axis, log, COLOURS[place % len(COLOURS)] if len(traced) > 1 else None)
        if len(panel.keys) > 1 and not labels:
            names = [key.rpartition("/")[2] for key in panel.keys]
            if len(set(names)) < len(names):  # one value of several terms
                names = list(panel.keys)
            axis.legend(handles=handles(series_entries(names, len(traced))), frameon=False)
    named = [(label, looks | own) for label, looks in series_entries(labels, len(traced))]
    legend(figure, [*runs_entries([name for name, _ in traced]), *named])
    return figure


def _line(axis: Axes, one: Curve, kind: str, markers: bool, looks: dict[str, Any]) -> None:
    line = one if kind == "validation" else smooth(one)
    marker = "o" if markers and kind == "validation" and looks["linestyle"] == "-" else None
    axis.plot(line.steps, line.values, marker=marker, markersize=3.5, **looks)


def _mark_stages(axis: Axes, log: Log, colour: str | None) -> None:
    """Draw a dotted line at the start of each stage, with its name unless colours tell runs apart.

    Names alternate between two levels, so that the name of a short stage does not overlap the next.
    """
    named = colour is None and len(log.stages) > 1
    if named:  # room above the curves, on whatever scale
        within = axis.transAxes + axis.transData.inverted()
        axis.set_ylim(*(within.transform((0, height))[1] for height in (0, 1 + NAMES)))
    for place, stage in enumerate(log.stages):
        if stage.start:
            axis.axvline(stage.start, color=colour or GREY, linestyle=":", linewidth=1)
        if named:
            axis.annotate(
                stage.name,
                (stage.start, 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, -1 - 9 * (place % 2)),
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


def _finish(axis: Axes, panel: Panel) -> None:
    axis.set_title(panel.title)
    axis.set_xlabel("step")
    axis.margins(y=0.12)
    if panel.kind == "validation":
        within_share(axis)
    lines: list[Any] = [line.get_ydata() for line in axis.lines]
    values = [float(value) for line in lines for value in line]
    if panel.log_scale and values and 0 < 10 * min(values) < max(values):
        axis.set_yscale("log")
    if panel.span:
        bottom, top = axis.get_ylim()
        axis.set_ylim(min(bottom, panel.span[0]), max(top, panel.span[1]))


def _distilled(runs: Sequence[RunData]) -> list[Traced]:
    return [(run.name, run.log.distilled()) for run in runs]


def _keys(traced: Sequence[Traced], kind: str, prefixes: tuple[str, ...]) -> list[str]:
    """Return the logged keys with one of the prefixes, the first few of them."""
    found = dict.fromkeys(key for _, log in traced for key in log.keys(kind, prefixes))
    return list(found)


def _named(traced: Sequence[Traced], *names: str) -> list[str]:
    """Return the keys ``TERM/NAME`` of training with one of the names, of all terms that log it."""
    logged = _keys(traced, "train", ("",))
    return [key for name in names for key in logged if key.rpartition("/")[2] == name]


def _alt(traced: Sequence[Traced], shown: Sequence[Panel]) -> str:
    """Say what is drawn, and where the first line of each panel begins and ends."""
    parts = []
    for panel in shown:
        for name, log in traced:
            if lines := log.curves(panel.kind, panel.keys[0]):
                whose = f"{name}: " if len(traced) > 1 else ""
                ends = f"from {lines[0].values[0]:.3g} to {lines[-1].values[-1]:.3g}"
                parts.append(f"{whose}{panel.title} {ends}")
    return "Curves over steps: " + "; ".join(parts)

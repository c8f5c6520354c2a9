"""The contracts and the maths of one-step distillation: no files, no configuration, no plugins.

Names are loaded when used (PEP 562), so that light modules here (`errors`, `data`, `evaluator`) come
without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .earlier import missing

if TYPE_CHECKING:
    from .augmenter import Augmenter
    from .context import StepContext
    from .data import DataSource, Example, Split
    from .denoiser import Denoised, Denoiser
    from .errors import DlmoneError, InputError, PluginError
    from .estimator import DiffusionScoreEstimator, ScoreEstimator
    from .evaluator import CorpusMetric, Evaluator, PairMetric, Sample, Score
    from .exporter import Exporter
    from .generator import DiffusionGenerator, Generated, Generator, SampledGenerator
    from .graph import OneStepGraph
    from .noise import Noise
    from .objective import Chart, Objective, Term
    from .request import (
        ESTIMATOR,
        GENERATOR,
        OUTPUT,
        START,
        TEACHER,
        Auxiliary,
        Average,
        GeneratorInput,
        Gradient,
        Network,
        Noised,
        Point,
        Request,
        State,
    )
    from .sampler import Sampler, Start
    from .samples import ForeignSamples, SampleReader
    from .schedule import DiscreteSchedule, FlowSchedule, NoiseSchedule, TimePoint
    from .score_distillation import ScoreDistillation
    from .selection import Selector
    from .space import Batch, Codec, Reading, Space
    from .spacing import Spacing
    from .teacher import Conversion, Sketch, Teacher, TrainingLoss
    from .times import LogNormalTimes, QuantileTimes, Times, UniformTimes
    from .tokenizer import TokenizerBuilder
    from .tracker import TrackedRun, Tracker

_HOME = {
    "Augmenter": "augmenter",
    "StepContext": "context",
    "DataSource": "data",
    "Example": "data",
    "Split": "data",
    "Denoised": "denoiser",
    "Denoiser": "denoiser",
    "DlmoneError": "errors",
    "InputError": "errors",
    "PluginError": "errors",
    "DiffusionScoreEstimator": "estimator",
    "ScoreEstimator": "estimator",
    "CorpusMetric": "evaluator",
    "Evaluator": "evaluator",
    "PairMetric": "evaluator",
    "Sample": "evaluator",
    "Score": "evaluator",
    "Exporter": "exporter",
    "OneStepGraph": "graph",
    "DiffusionGenerator": "generator",
    "Generated": "generator",
    "Generator": "generator",
    "SampledGenerator": "generator",
    "Noise": "noise",
    "Chart": "objective",
    "Objective": "objective",
    "Term": "objective",
    "ESTIMATOR": "request",
    "GENERATOR": "request",
    "OUTPUT": "request",
    "START": "request",
    "TEACHER": "request",
    "Auxiliary": "request",
    "Average": "request",
    "GeneratorInput": "request",
    "Gradient": "request",
    "Network": "request",
    "Noised": "request",
    "Point": "request",
    "Request": "request",
    "State": "request",
    "Sampler": "sampler",
    "Start": "sampler",
    "ForeignSamples": "samples",
    "SampleReader": "samples",
    "DiscreteSchedule": "schedule",
    "FlowSchedule": "schedule",
    "NoiseSchedule": "schedule",
    "TimePoint": "schedule",
    "ScoreDistillation": "score_distillation",
    "Selector": "selection",
    "Batch": "space",
    "Codec": "space",
    "Reading": "space",
    "Space": "space",
    "Spacing": "spacing",
    "Conversion": "teacher",
    "Sketch": "teacher",
    "Teacher": "teacher",
    "TrainingLoss": "teacher",
    "Times": "times",
    "UniformTimes": "times",
    "QuantileTimes": "times",
    "LogNormalTimes": "times",
    "TrackedRun": "tracker",
    "Tracker": "tracker",
    "TokenizerBuilder": "tokenizer",
}

__all__ = [
    "ESTIMATOR",
    "GENERATOR",
    "OUTPUT",
    "START",
    "TEACHER",
    "Augmenter",
    "Auxiliary",
    "Average",
    "Batch",
    "Chart",
    "Codec",
    "Conversion",
    "CorpusMetric",
    "DataSource",
    "Denoised",
    "Denoiser",
    "DiffusionGenerator",
    "DiffusionScoreEstimator",
    "DiscreteSchedule",
    "DlmoneError",
    "Evaluator",
    "Example",
    "Exporter",
    "FlowSchedule",
    "ForeignSamples",
    "Generated",
    "Generator",
    "GeneratorInput",
    "Gradient",
    "InputError",
    "LogNormalTimes",
    "Network",
    "Noise",
    "NoiseSchedule",
    "Noised",
    "Objective",
    "OneStepGraph",
    "PairMetric",
    "PluginError",
    "Point",
    "QuantileTimes",
    "Reading",
    "Request",
    "Sample",
    "SampleReader",
    "SampledGenerator",
    "Sampler",
    "Score",
    "ScoreDistillation",
    "ScoreEstimator",
    "Selector",
    "Sketch",
    "Space",
    "Spacing",
    "Split",
    "Start",
    "State",
    "StepContext",
    "Teacher",
    "Term",
    "TimePoint",
    "Times",
    "TokenizerBuilder",
    "TrackedRun",
    "Tracker",
    "TrainingLoss",
    "UniformTimes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise missing(__name__, name)
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

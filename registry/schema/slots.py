"""The places of a recipe, or of a command, that name a plugin and have no keys but its options."""

from .section import Slot


class DataSlot(Slot):
    """The source of the examples."""

    kind = "data"


class SamplerSlot(Slot):
    """The sampler of a teacher, in several steps."""

    kind = "samplers"


class GeneratorSlot(Slot):
    """An external text generator, as a baseline."""

    kind = "generators"


class EvaluatorSlot(Slot):
    """One family of scores."""

    kind = "evaluators"


class AugmenterSlot(Slot):
    """The augmenter that varies conditions before generation."""

    kind = "augmenters"


class SelectorSlot(Slot):
    """The selector of one of several candidates."""

    kind = "selectors"


class TrackerSlot(Slot):
    """A tool that follows the run."""

    kind = "trackers"


class ExporterSlot(Slot):
    """The format that a student's graph is written in."""

    kind = "exporters"

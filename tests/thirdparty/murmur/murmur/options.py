"""Options, validated without importing torch."""

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MurmurOptions(Options):
    """Sizes of a teacher, and how it is trained."""

    length: int = Field(36, ge=4, description="tokens of a sequence")
    width: int = Field(16, ge=1, description="width of a state")
    hidden: int = Field(32, ge=1, description="width of the network")
    layers: int = Field(2, ge=1, description="convolutions")
    context: float = Field(0.2, ge=0, lt=0.5, description="how far its neighbours move a token's state")
    self_conditioning_rate: float = Field(0.5, ge=0, le=1, description="samples that read an estimate")
    condition_dropout: float = Field(0.2, ge=0, lt=1, description="samples trained without a condition")
    most_guidance: float = Field(3.0, ge=1, description="guidance is trained from 1 up to this scale")


class ConsistencyOptions(Options):
    """``rate``: of the target's average. ``steps``: one leads down 1/steps of the time. ``guidance``: κ."""

    rate: float = Field(0.9, ge=0, lt=1)
    steps: int = Field(4, ge=2)
    guidance: float = Field(1.5, ge=1)


class CriticOptions(Options):
    """``hidden``: width of the critic. ``memory``: of the running share of samples that it tells apart."""

    hidden: int = Field(16, ge=1)
    memory: float = Field(0.9, ge=0, lt=1)

"""Options of the samplers, checked before torch is imported."""

from pydantic import BaseModel, ConfigDict, Field

from dlmone.registry import Spacing, Time


class RenoiseOptions(BaseModel):
    """The options of `renoise`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    spacing: Spacing | None = Field(
        default=None,
        description='how the calls are spread over times: "time", "ratio", "log_snr", or the times after the '
        "first; if None, as a student was trained, or evenly in time",
    )


class DDIMOptions(BaseModel):
    """The options of `ddim`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    eta: float = Field(
        default=0.0, ge=0, le=1, description="0: deterministic; 1: the noise of the DDPM posterior"
    )
    rounding: bool = Field(
        default=True,
        description="replace each x0 prediction by the nearest token states, as DiffuSeq does; "
        "spaces without rounding are not affected",
    )
    start: Time | None = Field(
        default=None,
        description="time of the first network call; if None, a student's t_init, or the end of a teacher's "
        "trained range",
    )
    until: Time | None = Field(
        default=None,
        description="the network calls are spread from the first down to here; if None, to the clean state",
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        description="τ of x0 = softmax(logits/τ)·E, of networks that predict token probabilities (LangFlow); "
        "below 1 likely tokens weigh more",
    )
    spacing: Spacing = Field(
        default="time",
        description='how they are spread: "time", "ratio", "log_snr", or the times after the first',
    )


class RepelOptions(RenoiseOptions):
    """The options of `repel`."""

    strength: float = Field(
        default=0.3,
        ge=0,
        description="how much of the earlier candidates' mean is taken from the starting state; "
        "0: candidates are independent",
    )

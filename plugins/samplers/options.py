"""Options of the samplers, checked before torch is imported."""

from pydantic import BaseModel, ConfigDict, Field

from dlmone.registry import Time


class NoOptions(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


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
        description="the network calls are spread evenly from the first down to here; if None, to the clean "
        "state",
    )


class RepelOptions(BaseModel):
    """The options of `repel`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    strength: float = Field(
        default=0.3,
        ge=0,
        description="how much of the earlier candidates' mean is taken from the starting state; "
        "0: candidates are independent",
    )

"""The options of the built-in trackers: light, so that a recipe is validated without any of the tools."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict


class TensorBoardOptions(BaseModel):
    """The folder of the event files (by default ``tensorboard`` in the run directory)."""

    model_config = ConfigDict(extra="forbid")

    folder: Path | None = None


class WandbOptions(BaseModel):
    """Where the run appears; ``offline`` needs no account (``wandb sync`` sends the run later).

    ``project`` is the recipe's name unless given; ``entity`` the account's default.
    """

    model_config = ConfigDict(extra="forbid")

    mode: Literal["online", "offline"] = "online"
    project: str | None = None
    entity: str | None = None
    tags: tuple[str, ...] = ()


class TrackioOptions(BaseModel):
    """``project`` is the recipe's name unless given; ``space`` a Space of the Hub, OWNER/NAME."""

    model_config = ConfigDict(extra="forbid")

    project: str | None = None
    space: str | None = None


class MLflowOptions(BaseModel):
    """``experiment`` is the recipe's name unless given; ``uri`` a server's address or a local store's.

    By default MLflow's own setting counts: the variable MLFLOW_TRACKING_URI, or a local store.
    """

    model_config = ConfigDict(extra="forbid")

    experiment: str | None = None
    uri: str | None = None

"""The options of the built-in trackers: light, so that a recipe is validated without any of the tools."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict


class TensorBoardOptions(BaseModel):
    """The folder of the event files (by default ``tensorboard`` in the run directory)."""

    model_config = ConfigDict(extra="forbid")

    #: The folder of the event files; ``tensorboard`` in the run directory by default.
    folder: Path | None = None


class WandbOptions(BaseModel):
    """Where the run appears; ``offline`` needs no account (``wandb sync`` sends the run later).

    ``project`` is the recipe's name unless given; ``entity`` the account's default.
    """

    model_config = ConfigDict(extra="forbid")

    #: Whether the run is sent as it goes, or kept here for ``wandb sync``.
    mode: Literal["online", "offline"] = "online"
    #: The project's name; the recipe's by default.
    project: str | None = None
    #: The team or user; the account's own by default.
    entity: str | None = None
    #: Tags of the run.
    tags: tuple[str, ...] = ()


class TrackioOptions(BaseModel):
    """``project`` is the recipe's name unless given; ``space`` a Space of the Hub, OWNER/NAME."""

    model_config = ConfigDict(extra="forbid")

    #: The project's name; the recipe's by default.
    project: str | None = None
    #: A Space of the Hugging Face hub, OWNER/NAME; only this machine by default.
    space: str | None = None


class MLflowOptions(BaseModel):
    """``experiment`` is the recipe's name unless given; ``uri`` a server's address or a local store's.

    By default MLflow's own setting counts: the variable MLFLOW_TRACKING_URI, or a local store.
    """

    model_config = ConfigDict(extra="forbid")

    #: The experiment's name; the recipe's by default.
    experiment: str | None = None
    #: A server's address, or a local store's; MLFLOW_TRACKING_URI or a local store by default.
    uri: str | None = None

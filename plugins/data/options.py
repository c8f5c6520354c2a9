"""The options of the built-in data sources: light, so that a recipe is validated without pyarrow or torch."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: How many of the first rows of a file to read.
Limit = Annotated[
    Annotated[int, Field(ge=1, le=10**9)] | None,
    Field(description="how many of the first rows to read; all by default"),
]


class JsonlOptions(BaseModel):
    """A folder, and how many of the first rows of each of its files to read (all, unless said)."""

    model_config = ConfigDict(extra="forbid")

    path: Path = Field(description="the folder of train, valid and test files")
    train_limit: Limit = None
    valid_limit: Limit = None
    test_limit: Limit = None


class Columns(BaseModel):
    """Which columns of a row are what."""

    model_config = ConfigDict(extra="forbid")

    source: str | None = Field(
        default=None, description="the column of sources; src or source, or none for text without them"
    )
    target: str | None = Field(
        default=None, description="the column of targets; trg, target, reference or text"
    )
    id: str | None = Field(default=None, description="a column of ids; rows are numbered without one")
    train_limit: Limit = None
    valid_limit: Limit = None
    test_limit: Limit = None


class FilesOptions(Columns):
    """A folder with a file for each split."""

    path: Path = Field(description="a folder with train, valid and test files")
    train: str | None = Field(default=None, description="the training file, if it has another name")
    valid: str | None = Field(default=None, description="the validation file, if it has another name")
    test: str | None = Field(default=None, description="the test file, if it has another name")


class DatasetOptions(Columns):
    """A data set of the Hugging Face hub, or a folder that one was saved to."""

    name: str = Field(description="a name of the hub, or a folder written by save_to_disk")
    subset: str | None = Field(default=None, description="the data set's configuration, if it has several")
    revision: str | None = Field(default=None, description="a commit of its repository")
    train: str = Field(default="train", description="its name for the training split")
    valid: str = Field(default="validation", description="its name for the validation split")
    test: str = Field(default="test", description="its name for the test split")


class HubOptions(BaseModel):
    """A data set by name, and a revision of its repository (None: the one pinned with its splits)."""

    model_config = ConfigDict(extra="forbid")

    dataset: Literal["qqp"] = Field(default="qqp", description="which one")
    revision: str | None = Field(default=None, description="another commit of its repository")

"""The options of the built-in exporters: light, so that they are validated without onnx."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class OnnxOptions(BaseModel):
    """The precision of the weights; ``int8`` quantises the linear maps, activations as they come."""

    model_config = ConfigDict(extra="forbid")

    #: Of the weights; int8 quantises the linear maps, activations as they come.
    precision: Literal["float32", "int8"] = "float32"

"""ONNX: a graph for onnxruntime and every other runtime that reads the format."""

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlmone.core import InputError, OneStepGraph
from dlmone.registry import Exporter

from .options import OnnxOptions
from .traced import traced

FILE = "graph.onnx"


class OnnxExporter(Exporter):
    """Writes one file, weights included."""

    def __init__(self, options: OnnxOptions) -> None:
        self._options = options

    def write(self, graph: OneStepGraph, inputs: Sequence[Tensor], folder: Path) -> str:
        _require("onnxscript")
        program = traced(graph, inputs)
        # It logs a warning for every operator of torchvision, which is not needed.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            program,
            (),
            folder / FILE,
            input_names=graph.INPUTS,
            output_names=[graph.OUTPUT],
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        if self._options.precision == "int8":
            _quantise(folder / FILE)
        return FILE


def _quantise(path: Path) -> None:
    """Replace the weights of linear maps by int8, one scale a channel."""
    quantization = _require("onnxruntime.quantization")
    whole = path.with_suffix(".float32.onnx")
    path.rename(whole)
    settings = {"weight_type": quantization.QuantType.QInt8, "per_channel": True}
    quantization.quantize_dynamic(whole, path, op_types_to_quantize=["MatMul", "Gemm"], **settings)
    whole.unlink()


def _require(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise InputError('ONNX needs an extra: pip install "dlmone[onnx]"') from None

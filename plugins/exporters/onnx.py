"""ONNX: a graph for onnxruntime and every other runtime that reads the format."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlmone.core import InputError, OneStepGraph
from dlmone.registry import Exporter, RunGraph

from .options import OnnxOptions
from .traced import traced

FILE = "graph.onnx"


class OnnxExporter(Exporter):
    """Writes one file, weights included, and runs it with onnxruntime."""

    runtime = "onnxruntime"

    def __init__(self, options: OnnxOptions) -> None:
        self.precision = options.precision

    def write(self, graph: OneStepGraph, inputs: Sequence[Tensor], folder: Path) -> str:
        _require("onnxscript")
        program = traced(graph, inputs)
        # It logs a warning for every operator of torchvision, which is not needed.
        with warnings.catch_warnings(), _no_logged_warnings():
            # PyTorch's exporter (2.13) uses a class that PyTorch deprecates.
            warnings.filterwarnings(
                "ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning
            )
            torch.onnx.export(
                program,
                (),
                folder / FILE,
                input_names=graph.inputs,
                output_names=[graph.OUTPUT],
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        if self.precision == "int8":
            _quantise(folder / FILE)
        return FILE

    def load(self, file: Path, threads: int) -> RunGraph:
        onnxruntime = _require("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        try:
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        # Its errors are of many types, all of them plain exceptions.
        except Exception as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{file}: onnxruntime can't load this graph ({reason})") from None

        names = [one.name for one in session.get_inputs()]

        def run(*inputs: Tensor) -> Tensor:
            named = {name: one.numpy() for name, one in zip(names, inputs, strict=True)}
            return torch.from_numpy(session.run([OneStepGraph.OUTPUT], named)[0])

        return run


def _quantise(path: Path) -> None:
    """Replace the weights of linear maps by int8, one scale a channel."""
    quantization = _require("onnxruntime.quantization")
    whole = path.with_suffix(".float32.onnx")
    path.rename(whole)
    settings = {"weight_type": quantization.QuantType.QInt8, "per_channel": True}
    with _no_logged_warnings():  # it recommends a preparation that static shapes would need
        quantization.quantize_dynamic(whole, path, op_types_to_quantize=["MatMul", "Gemm"], **settings)
    whole.unlink()


@contextmanager
def _no_logged_warnings() -> Iterator[None]:
    disabled = logging.root.manager.disable
    logging.disable(max(disabled, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(disabled)


def _require(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise InputError('ONNX needs an extra: pip install "dlmone[onnx]"') from None

"""Provide exporters: a student's graph for ONNX runtimes and for torch.export."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_exporters(register: Register) -> None:
    register(
        "onnx",
        f"{__name__}.onnx:OnnxExporter",
        options=f"{__name__}.options:OnnxOptions",
        help="graph.onnx, for onnxruntime and others (pip install dlmone[onnx])",
    )
    register(
        "torch-export",
        f"{__name__}.torch_export:TorchExporter",
        help="graph.pt2, for torch.export.load: PyTorch without dlmone",
    )

"""Provide trackers: TensorBoard, Weights & Biases, trackio and MLflow follow a run."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_trackers(register: Register) -> None:
    register(
        "tensorboard",
        f"{__name__}.tensorboard:TensorBoard",
        options=f"{__name__}.options:TensorBoardOptions",
        help="event files for TensorBoard (pip install dlmone[tensorboard])",
    )
    register(
        "wandb",
        f"{__name__}.wandb:WeightsAndBiases",
        options=f"{__name__}.options:WandbOptions",
        help="Weights & Biases, also offline (pip install dlmone[wandb])",
    )
    register(
        "trackio",
        f"{__name__}.trackio:Trackio",
        options=f"{__name__}.options:TrackioOptions",
        help="trackio, a local dashboard (pip install dlmone[trackio])",
    )
    register(
        "mlflow",
        f"{__name__}.mlflow:MLflow",
        options=f"{__name__}.options:MLflowOptions",
        help="MLflow, on a server or in a local store (pip install dlmone[mlflow])",
    )

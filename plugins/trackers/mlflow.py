"""MLflow: one run of an experiment, with metrics named STAGE/NAME."""

import re
import time
from collections.abc import Mapping, Sequence

from dlmone.core import InputError, Sample
from dlmone.registry import TrackedRun, Tracker

from .common import dotted, markdown, require
from .options import MLflowOptions

#: The longest value of a parameter that MLflow takes.
LONGEST = 6000


class MLflow(Tracker):
    """Sends a run to MLflow's store or server."""

    def __init__(self, options: MLflowOptions) -> None:
        self._mlflow = require("mlflow", "mlflow")
        self._options = options

    def start(self, run: TrackedRun) -> str:
        mlflow, name = self._mlflow, self._options.experiment or run.project
        self._entities = mlflow.entities
        try:
            self._client = client = mlflow.MlflowClient(tracking_uri=self._options.uri)
            if run.identifier is not None:
                client.update_run(run.identifier, status="RUNNING")
                self._id = run.identifier
                return self._id
            known = client.get_experiment_by_name(name)
            experiment = known.experiment_id if known else client.create_experiment(name)
            self._id = str(client.create_run(experiment, run_name=run.name).info.run_id)
            params = [self._entities.Param(key, str(value)[:LONGEST]) for key, value in dotted(run.recipe)]
            for begin in range(0, len(params), 100):
                client.log_batch(self._id, params=params[begin : begin + 100])
        except mlflow.exceptions.MlflowException as error:
            raise InputError(f"trackers: MLflow cannot be used ({' '.join(str(error).split())})") from None
        return self._id

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        named = {_allowed(f"{stage}/{name}"): value for name, value in values.items()}
        metrics = [self._entities.Metric(name, value, now, step) for name, value in named.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def texts(self, stage: str, step: int, samples: Sequence[Sample]) -> None:
        self._client.log_text(self._id, markdown(samples), f"samples/{stage}-{step:07d}.md")

    def finish(self, *, completed: bool) -> None:
        self._client.set_terminated(self._id, "FINISHED" if completed else "FAILED")


def _allowed(name: str) -> str:
    """Return a name of the characters that MLflow allows in one."""
    return re.sub(r"[^\w./ -]", "_", name)

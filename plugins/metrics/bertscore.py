"""DiffuSeq's BERTScore: mean F1 without idf weights and without baseline rescaling (Zhang et al., 2020).

The ``bert-score`` library matches the tokens. Encoder and tokeniser are loaded here, because loading them
through the library depends on the transformers version; what comes out is what DiffuSeq's environment
(transformers 4.22) gave.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Evaluator, Sample, Score

from .options import BertScoreOptions
from .scoring import checked, mean_score


class BertScoreEvaluator(Evaluator):
    """Mean BERTScore F1. The encoder is loaded at the first evaluation and kept."""

    def __init__(self, options: BertScoreOptions) -> None:
        self.options = options

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample against its reference.

        Raises:
            InputError: there is no sample, or the encoder cannot be had.
        """
        pairs = [(s.candidates[0].strip(), s.reference.strip()) for s in checked(samples, "bertscore")]
        score = mean_score(
            "bertscore",
            self._f1(pairs),
            "higher",
            model=self.options.model,
            layers=self.num_layers,
            idf="no",
            rescale="no",
            libraries=["bert-score", "transformers"],
        )
        return [score]

    @cached_property
    def num_layers(self) -> int:
        """How many layers are kept: the option, or the entry in bert-score's table of hub names."""
        from bert_score.utils import model2layers

        layers = self.options.num_layers or model2layers.get(self.options.model)
        if layers is None:
            raise InputError(
                f"bertscore has no default number of layers for {self.options.model!r}: "
                "set its option 'num_layers'."
            )
        return int(layers)

    @cached_property
    def _encoder(self) -> tuple[Any, Any]:
        return load_encoder(self.options.model, self.num_layers, self.options.device)

    def _f1(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return F1 a pair, 0 where a side is empty (bert-score fails on those with transformers 5)."""
        from bert_score.utils import bert_cos_score_idf

        model, tokenizer = self._encoder
        full = [i for i, pair in enumerate(pairs) if all(pair)]
        values = [0.0] * len(pairs)
        if not full:
            return values
        weights = defaultdict(lambda: 1.0, {tokenizer.sep_token_id: 0.0, tokenizer.cls_token_id: 0.0})
        outputs, references = [pairs[i][0] for i in full], [pairs[i][1] for i in full]
        precision_recall_f1 = bert_cos_score_idf(
            model,
            references,
            outputs,
            tokenizer,
            weights,
            batch_size=self.options.batch_size,
            device=model.device,
        )
        for i, f1 in zip(full, precision_recall_f1[:, 2].tolist(), strict=True):
            values[i] = f1
        return values


def load_encoder(name: str, num_layers: int, device: str | None = None) -> tuple[Any, Any]:
    """Return the first ``num_layers`` layers of an encoder (float32, evaluation mode) and its tokeniser.

    Raises:
        InputError: the model cannot be had, is no encoder, or has fewer layers.
    """
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(name)
        if config.is_encoder_decoder:
            raise InputError(
                f"bertscore needs an encoder: its option 'model' names {name!r}, which also decodes."
            )
        if num_layers > config.num_hidden_layers:
            raise InputError(
                f"bertscore cannot keep {num_layers} layers of {name!r}, which has "
                f"{config.num_hidden_layers}: lower its option 'num_layers'."
            )
        # bert-score would take any name with "t5" in it, a folder's too, for a T5 model: not so here.
        config.num_hidden_layers = num_layers
        model = AutoModel.from_pretrained(name, config=config)
        # DeBERTa's first word is tokenised as if a space came before it, as transformers 4.22 had it.
        tokenizer = AutoTokenizer.from_pretrained(name, use_fast=False, add_prefix_space=True)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"bertscore cannot load the encoder {name!r} ({reason}): give a local folder as its option "
            "'model' (and 'num_layers'), or run once with the network on to download it."
        ) from error
    if tokenizer.model_max_length > 1_000_000:
        # transformers 5 no longer knows DeBERTa's limit, and fast tokenisers refuse its stand-in, 1e30.
        tokenizer.model_max_length = 512
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    # transformers 5 keeps a checkpoint's float16; 4.22 read it as float32.
    return model.float().eval().to(device), tokenizer

"""DiffuSeq's BERTScore: mean F1 without idf weights and without baseline rescaling (Zhang et al., 2020).

Encoder and tokeniser are loaded as DiffuSeq's environment (transformers 4.22) had them, whichever version is
installed. What comes out is what the ``bert-score`` library gave there, with its quirk (`lowest_matches`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Evaluator, Sample, Score
from dlmone.plugins.bert.hub import is_offline
from dlmone.registry.fields.device import resolve_device

from .options import BertScoreOptions
from .scoring import checked, mean_score
from .strings import clean_output

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .greedy import Embedded

#: bert-score's default batch size, in pairs.
LIBRARY_BATCH = 64


class BertScoreEvaluator(Evaluator):
    """Mean BERTScore F1. The encoder is loaded at the first evaluation and kept."""

    def __init__(self, options: BertScoreOptions) -> None:
        self.options = options

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        """Score the first candidate of each sample against its reference.

        Raises:
            InputError: there is no sample, or the encoder cannot be loaded.
        """
        scored = checked(samples, "bertscore")
        score = mean_score(
            "bertscore",
            self._f1([s.candidates[0] for s in scored], [s.reference for s in scored]),
            "higher",
            model=self.options.model,
            layers=self.num_layers,
            idf="no",
            rescale="no",
            libraries=["bert-score", "transformers"],
        )
        return [score]

    def score_pairs(self, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        """Return the F1 of each output against a reference that is another output.

        Raises:
            InputError: the numbers of outputs and references differ, or the encoder cannot be loaded.
        """
        return self._f1(*(list(map(clean_output, side)) for side in (outputs, references)))

    @cached_property
    def num_layers(self) -> int:
        """The number of layers kept: the option, or the entry in bert-score's table of hub names."""
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
        return load_encoder(self.options.model, self.num_layers, resolve_device(self.options.device))

    def _f1(self, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        """Return F1 per pair, 0 where a side is empty. Each distinct text is embedded once."""
        import torch

        from dlmone.core.transfer import to_device

        from .greedy import greedy_f1

        if len(outputs) != len(references):
            raise InputError(f"There are {len(outputs)} outputs but {len(references)} references to compare.")
        sides = [[text.strip() for text in side] for side in (outputs, references)]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(chain(*sides)))}
        if not any(numbers):
            return [0.0] * len(outputs)
        sentences = embed(list(numbers), *self._encoder, self.options.batch_size)
        pairs_P2 = torch.tensor([[numbers[text] for text in side] for side in sides]).T
        pairs_P2 = to_device(pairs_P2, sentences.states_TD.device)
        f1: list[float] = greedy_f1(
            sentences, pairs_P2, lowest_matches(sentences.lengths_S[pairs_P2])
        ).tolist()
        return f1


def lowest_matches(lengths_P2: Tensor) -> Tensor:
    """Return bert-score's lower bound of a token's greatest similarity, for both sides of a pair, [P, 2].

    bert-score matches `LIBRARY_BATCH` consecutive pairs at a time and gives padding a similarity of 0.
    Against a sentence shorter than the longest of its batch, a token's greatest similarity is thus at least
    0. Tokens with only negative similarities are rare in most models, so scores seldom change.
    """
    import torch

    batches = torch.split(lengths_P2, LIBRARY_BATCH)
    padded_P2 = [lengths_B2 < lengths_B2.amax(0) for lengths_B2 in batches]
    return torch.where(torch.cat(padded_P2).flip(1), 0.0, -torch.inf)


def embed(texts: Sequence[str], model: Any, tokenizer: Any, batch_size: int) -> Embedded:
    """Return the unit-length states of the texts' tokens; those of [CLS] and [SEP] do not count.

    An empty text gets no token: no version of transformers needs to tokenise it.
    """
    import torch

    from dlmone.core.transfer import to_device

    from .greedy import Embedded

    ids = [
        tokenizer.encode(text, max_length=tokenizer.model_max_length, truncation=True) if text else []
        for text in texts
    ]
    states: list[torch.Tensor] = [torch.empty(0, 0)] * len(texts)
    for batch in batches(list(map(len, ids)), batch_size):
        length = len(ids[batch[-1]])
        padded = [ids[text] + [tokenizer.pad_token_id] * (length - len(ids[text])) for text in batch]
        mask = [[1] * len(ids[text]) + [0] * (length - len(ids[text])) for text in batch]
        with torch.no_grad():
            given = (to_device(torch.tensor(rows), model.device) for rows in (padded, mask))
            states_BLD = model(**dict(zip(("input_ids", "attention_mask"), given, strict=True)))[0]
        states_BLD = states_BLD / states_BLD.norm(dim=-1, keepdim=True)
        for text, states_LD in zip(batch, states_BLD, strict=True):
            states[text] = states_LD[: len(ids[text])]
    ids_T = torch.tensor(list(chain(*ids)))
    special = torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id])
    lengths_S = to_device(torch.tensor(list(map(len, ids))), model.device)
    return Embedded(
        states_TD=torch.cat([states_LD for states_LD in states if len(states_LD)]),
        weights_T=to_device(1 - torch.isin(ids_T, special).float(), model.device),
        starts_S=lengths_S.cumsum(0) - lengths_S,
        lengths_S=lengths_S,
    )


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield the indices of non-empty texts in batches, shortest first, to minimise padding."""
    order = sorted((n for n, length in enumerate(lengths) if length), key=lengths.__getitem__)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def load_encoder(name: str, num_layers: int, device: torch.device) -> tuple[Any, Any]:
    """Return the first ``num_layers`` layers of an encoder (float32, evaluation mode) and its tokeniser.

    Raises:
        InputError: the model cannot be loaded, is not an encoder, or has fewer layers.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    offline = not Path(name).is_dir() and is_offline()
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=offline)
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
        model = AutoModel.from_pretrained(name, config=config, local_files_only=offline)
        # DeBERTa's first word is tokenised as if a space came before it, as transformers 4.22 had it.
        tokenizer = AutoTokenizer.from_pretrained(
            name, use_fast=False, add_prefix_space=True, local_files_only=offline
        )
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        reason = "it is not cached, and the Hugging Face hub cannot be reached" if offline else reason
        raise InputError(
            f"bertscore cannot load the encoder {name!r} ({reason}): give a local folder as its option "
            "'model' (and 'num_layers'), or run once with the network on to download it."
        ) from error
    if tokenizer.model_max_length > 1_000_000:
        # transformers 5 no longer knows DeBERTa's limit, and fast tokenisers refuse its stand-in, 1e30.
        tokenizer.model_max_length = 512
    # transformers 5 keeps a checkpoint's float16; 4.22 read it as float32.
    return model.float().eval().to(device), tokenizer

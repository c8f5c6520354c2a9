"""Official checkpoints in terms of this plugin: training arguments and state dict."""

from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor

from dlmone.core import InputError
from dlmone.plugins.bert.weights import check_tensors
from dlmone.registry.explain import dotted, validated

from ..options import DiffuSeqOptions

#: The tied weight under its second name, which official sampling uses because it is loaded last.
TIED = "lm_head.weight"
TABLE = "word_embedding.weight"
#: A buffer, 0 … max_positions − 1, without information.
POSITIONS = "position_ids"
#: Arguments that define the model, with the value that this plugin implements.
IMPLEMENTED = {
    "timestep_respacing": "",
    "predict_xstart": True,
    "learn_sigma": False,
    "use_kl": False,
    "rescale_timesteps": True,
}


def from_training_args(args: Mapping[str, Any], bert_config: Mapping[str, Any]) -> DiffuSeqOptions:
    """Return the options for an official ``training_args.json`` and its BERT configuration.

    ``tokenizer`` is ``config_name``, by which the official code loads it. The arguments do not record
    whether the training target was the clean embedding, so ``clean_target`` is off.

    Raises:
        InputError: the arguments describe a model that this plugin does not implement, or lack one.
    """
    wrong = [
        f"{key} is {args[key]!r} and not {value!r}"
        for key, value in IMPLEMENTED.items()
        if args.get(key, value) != value
    ]
    if bert_config.get("hidden_act", "gelu") != "gelu":
        wrong.append(f"hidden_act is {bert_config['hidden_act']!r} and not 'gelu'")
    if wrong:
        raise InputError(f"this is not a DiffuSeq model that can be converted: {'; '.join(wrong)}")
    known = get_args(DiffuSeqOptions.model_fields["time_sampler"].annotation)
    sampler = args.get("schedule_sampler")
    try:
        table = {
            "seq_len": args["seq_len"],
            "hidden_dim": args["hidden_dim"],
            "hidden_t_dim": args["hidden_t_dim"],
            "width": bert_config["hidden_size"],
            "layers": bert_config["num_hidden_layers"],
            "heads": bert_config["num_attention_heads"],
            "feedforward": bert_config["intermediate_size"],
            "dropout": args["dropout"],
            "attention_dropout": bert_config.get("attention_probs_dropout_prob", 0.1),
            "max_positions": bert_config["max_position_embeddings"],
            "diffusion_steps": args["diffusion_steps"],
            "noise_schedule": args["noise_schedule"],
            # It concerns training alone, and a converted teacher is frozen.
            "time_sampler": sampler if sampler in known else "uniform",
            "tokenizer": args["config_name"],
        }
    except KeyError as error:
        raise InputError(f"the arguments of this checkpoint lack {error}") from None
    try:
        return validated(DiffuSeqOptions, table, dotted)
    except InputError as error:
        reason = "; ".join(str(error).splitlines())
        raise InputError(f"this is not a DiffuSeq model that can be converted: {reason}") from None


def training_notes(args: Mapping[str, Any]) -> list[str]:
    """Return lines on settings of the training that a frozen teacher does not need."""
    notes = []
    if (sampler := args.get("schedule_sampler")) not in ("lossaware", "uniform"):
        notes.append(f"training: its sampler of times, {sampler!r}, is not known here and not needed")
    if args.get("denoise"):
        notes.append("training: DiffuSeq-v2's (denoise = true), with noise on discrete tokens besides")
    return notes


def to_official(space: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the official state dict of a space and a network, keys in the official order."""
    positions_1P = torch.arange(len(network["position_embeddings.weight"]))[None]
    table_VD = space[TABLE]
    return {POSITIONS: positions_1P, TABLE: table_VD, TIED: table_VD, **space, **network}


def check_official(official: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Compare names and shapes of tensors with those of this configuration, `POSITIONS` left out.

    Raises:
        InputError: tensors are missing, unexpected or of another shape; one sentence names them.
    """
    given, wanted = (
        {key: value for key, value in tensors.items() if key != POSITIONS} for tensors in (official, expected)
    )
    check_tensors(given, wanted)

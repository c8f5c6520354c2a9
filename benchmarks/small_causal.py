"""Train a small causal language model on embedded text, to score text where no large one is at hand.

    python benchmarks/small_causal.py models/small-causal

It writes a GPT-2 of 2 layers and its tokenizer in the form of transformers' ``save_pretrained``, for the
option ``model`` of the evaluator ``generative_perplexity``. It prints the perplexity of held-out text.
"""

import argparse
from math import exp
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from dlmone.core import Sample
from dlmone.plugins.bert.tokenizer import CLS, PAD, SEP, UNK
from dlmone.plugins.causal.options import PerplexityOptions
from dlmone.plugins.causal.perplexity import PerplexityEvaluator
from dlmone.plugins.questions.options import TextOptions
from dlmone.plugins.questions.text import QuestionTextSource
from dlmone.plugins.tokenizers.words import words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    source = QuestionTextSource(TextOptions())
    texts = [example.target for example in source.split("train")]
    vocabulary = words(texts)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=vocabulary, bos_token=CLS, eos_token=SEP, pad_token=PAD, unk_token=UNK
    )
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    rows = [[begin, *tokenizer.encode(text, add_special_tokens=False), end] for text in texts]
    longest = max(map(len, rows))
    tokens_NL = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
    labels_NL = torch.tensor([row + [-100] * (longest - len(row)) for row in rows])
    sizes = {"n_embd": args.width, "n_layer": 2, "n_head": 4, "n_positions": 64}
    network = GPT2LMHeadModel(
        GPT2Config(vocab_size=vocabulary.get_vocab_size(), **sizes, bos_token_id=begin, eos_token_id=end)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=args.steps)
    for _ in range(args.steps):
        chosen = torch.randint(len(rows), (args.batch,))
        loss = network(input_ids=tokens_NL[chosen], labels=labels_NL[chosen]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        decay.step()
        optimizer.zero_grad()
    network.eval().save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    held_out = [Sample(one.id, "", one.target, (one.target,)) for one in source.split("test")]
    evaluator = PerplexityEvaluator(PerplexityOptions(model=str(args.out), device="cpu", batch=64))
    scores = ", ".join(f"{score.name} {score.value:.3f}" for score in evaluator.evaluate(held_out))
    print(f"training loss {loss.item():.3f} (perplexity {exp(loss.item()):.3f}); held-out text: {scores}")


if __name__ == "__main__":
    main()

"""Autoregressive generation with a KV cache: one network call a token."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlmone.core import Batch, Generated, Generator, InputError, Noise

from .codec import CausalCodec


class CausalGenerator(Generator):
    """Generates with a causal language model of transformers.

    Conditions are padded on the left and the padding is masked, so a row does not depend on the batch.
    """

    space: CausalCodec
    refines = False

    def __init__(self, network: nn.Module, space: CausalCodec) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()
        self.space = space

    def prepare(self, dtype: torch.dtype) -> None:
        self.network.to(dtype)

    @torch.no_grad()
    def generate(
        self, batch: Batch, noise: Noise, steps: int = 1, earlier: Sequence[Tensor] = ()
    ) -> Generated:
        if steps != 1:
            raise InputError(f"an autoregressive model refines nothing: it takes 1 step, not {steps}")
        with torch.autocast(batch.tokens_BL.device.type, enabled=False):
            generated_BT = self._generate(batch, noise)
        given_B = (~batch.target_BL).sum(1, keepdim=True)
        places_BT = given_B + torch.arange(generated_BT.shape[1], device=given_B.device)
        blank_BL = batch.tokens_BL.masked_fill(batch.target_BL, self.space.pad_id)
        return Generated(blank_BL.scatter(1, places_BT, generated_BT), calls=generated_BT.shape[1])

    def _generate(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the generated tokens [B, T]; padding follows where a row has ended before the others."""
        tokens_BS, mask_BS = self._left_padded(batch)
        position_B1 = mask_BS.sum(1, keepdim=True)
        position_BS = (mask_BS.cumsum(1) - 1).clamp(min=0)
        ended_B = torch.zeros(len(batch), dtype=torch.bool, device=tokens_BS.device)
        past, tokens = None, []
        for i in range(self.space.options.max_tokens):
            answer = self.network(
                input_ids=tokens_BS,
                attention_mask=mask_BS,
                position_ids=position_BS,
                past_key_values=past,
                use_cache=True,
                logits_to_keep=1,
            )
            past = answer.past_key_values
            token_B = self._next_token(answer.logits[:, -1], noise, i).masked_fill(ended_B, self.space.pad_id)
            tokens.append(token_B)
            if self.space.end_id is not None:
                ended_B = ended_B | (token_B == self.space.end_id)
                if bool(ended_B.all()):
                    break
            tokens_BS, position_BS = token_B[:, None], position_B1 + i
            mask_BS = torch.cat([mask_BS, mask_BS.new_ones(len(batch), 1)], 1)
        return torch.stack(tokens, 1)

    def _left_padded(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the conditions [B, S], right-aligned, and their mask: 1 at conditions, 0 at padding."""
        given_BL = ~batch.target_BL
        longest = int(given_BL.sum(1).max())
        place_BS = given_BL.sum(1, keepdim=True) - longest + torch.arange(longest, device=given_BL.device)
        tokens_BS = batch.tokens_BL.gather(1, place_BS.clamp(min=0))
        mask_BS = (place_BS >= 0).long()
        return tokens_BS.masked_fill(mask_BS == 0, self.space.pad_id), mask_BS

    def _next_token(self, logits_BV: Tensor, noise: Noise, i: int) -> Tensor:
        """Return the likeliest token, or one sampled with the keyed uniform draw ``token{i}``."""
        if not self.space.options.sample:
            return logits_BV.argmax(-1)
        cumulative_BV = torch.softmax(logits_BV.double(), -1).cumsum(-1)
        draw_B1 = noise.uniform(f"token{i}")[:, None] * cumulative_BV[:, -1:]
        return torch.searchsorted(cumulative_BV, draw_B1, right=True)[:, 0].clamp(max=logits_BV.shape[1] - 1)

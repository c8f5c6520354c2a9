"""[PAD] in conditions (Table 6): "randomly inserting a pad token ([PAD]) into the condition text"."""

import torch

from dlmone.core import Augmenter, Batch, Codec, InputError, Noise

from .options import PadOptions


class PadAugmenter(Augmenter):
    """Inserts one [PAD] before a random token of the condition, or one before each with this probability."""

    def __init__(self, options: PadOptions) -> None:
        self.probability, self.each = options.probability, options.each

    def augment(self, batch: Batch, space: Codec, noise: Noise) -> Batch:
        if not space.conditional:
            raise InputError("pad varies conditions, and this model has none")
        length = batch.tokens_BL.shape[1]
        # A number for every place: the lowest among a condition's own tokens is a uniformly random place.
        draw_BL = noise.uniform("pad", (length,))
        if self.each == "token":
            return space.insert_blanks(batch, draw_BL < self.probability)
        own_BL = space.source_tokens(batch)
        place_BL = torch.arange(length, device=own_BL.device) == draw_BL.where(own_BL, 2.0).argmin(1, True)
        inserted_B1 = (noise.uniform("pad, whether") < self.probability)[:, None]
        return space.insert_blanks(batch, place_BL & inserted_B1)

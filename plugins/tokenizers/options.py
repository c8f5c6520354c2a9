"""Define the options of the tokenizers, without importing them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FORM_HELP = "Unicode normal form: NFC composes letters and accents; NFKC also folds full-width and the like"
ACCENTS_HELP = "keep accents; otherwise those of Latin, Greek and Cyrillic are taken off (kana stay voiced)"


class Options(BaseModel):
    """No tokenizer takes a key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PretrainedOptions(Options):
    """Where a trained tokenizer lies."""

    path: str = Field(
        description="a folder or file, package:NAME (an installed Python package), or a name of the hub"
    )
    min_count: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        description="keep the word pieces that occur at least this often in the training data; 0 keeps all",
    )


class WordsOptions(Options):
    """Words, split at spaces and punctuation; Chinese characters are words."""

    min_count: int = Field(default=1, ge=1, le=1_000_000_000, description="rarer words are unknown")
    lowercase: bool = Field(default=True, description="put text in lower case, as BERT's uncased models")
    accents: bool = Field(default=True, description=ACCENTS_HELP)
    form: Literal["NFC", "NFKC"] = Field(default="NFC", description=FORM_HELP)


class WordPieceOptions(Options):
    """Pieces of words, split at spaces and punctuation; Chinese characters are words."""

    vocab_size: int = Field(
        default=8192, ge=8, le=10_000_000, description="tokens, markers included, at most"
    )
    lowercase: bool = Field(default=True, description="put text in lower case, as BERT's uncased models")
    accents: bool = Field(default=True, description=ACCENTS_HELP)
    form: Literal["NFC", "NFKC"] = Field(default="NFC", description=FORM_HELP)


class SubwordOptions(Options):
    """Pieces of text with its spaces, for any script; text comes back as it was."""

    vocab_size: int = Field(
        default=8192, ge=8, le=10_000_000, description="tokens, markers included, at most"
    )
    lowercase: bool = Field(default=False, description="put text in lower case")
    accents: bool = Field(default=True, description=ACCENTS_HELP)
    form: Literal["NFC", "NFKC"] = Field(default="NFC", description=FORM_HELP)


class CharactersOptions(Options):
    """Single characters, spaces included, for any script; text comes back as it was."""

    min_count: int = Field(default=1, ge=1, le=1_000_000_000, description="rarer characters are unknown")
    lowercase: bool = Field(default=False, description="put text in lower case")
    accents: bool = Field(default=True, description=ACCENTS_HELP)
    form: Literal["NFC", "NFKC"] = Field(default="NFC", description=FORM_HELP)

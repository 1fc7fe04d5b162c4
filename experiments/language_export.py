"""Ship a trained language model: the files of the model and its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from critwin.corpus import Corpus
from critwin.files import write_text
from critwin.problems.word_tokens import BOS, EOS, PAD, UNKNOWN, build_tokenizer

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel


def export_model(model: GPT2LMHeadModel, corpus: Corpus, *, folder: Path) -> None:
    """Write weights in half precision, config, tokenizer and generation settings.

    Args:
        model: The trained model; it keeps its own precision.
        corpus: What it was trained on: it knows the words.
        folder: Where the files go; transformers' `from_pretrained` reads it.
    """
    import copy

    from transformers import GenerationConfig, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    known = corpus.vocabulary()
    folder.mkdir(parents=True, exist_ok=True)
    halved = copy.deepcopy(model).half()
    halved.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=corpus.answer,
        bos_token_id=known[BOS],
        eos_token_id=known[EOS],
        pad_token_id=known[PAD],
    )
    halved.save_pretrained(folder)
    # The file is half precision to be small; on a CPU it is to be run in single precision.
    _edit(folder / "config.json", dtype="float32")
    PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(known, special=corpus.roles),
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=model.config.n_positions,
        model_input_names=["input_ids", "attention_mask"],
        **({} if corpus.chat_template is None else {"chat_template": corpus.chat_template}),
    ).save_pretrained(folder)
    # transformers 5 writes its own name for the class, which transformers 4 does not know.
    _edit(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")


def weights_hash(folder: Path) -> str:
    """Hash the weights of an exported model."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def write_files(folder: Path, card: dict[str, Any], readme: str) -> None:
    """Write `card.json` and the model card `README.md` of an exported model."""
    write_text(folder / "README.md", readme)
    write_text(folder / "card.json", json.dumps(card, indent=2) + "\n")


def _edit(path: Path, **changed: str) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) | changed
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")

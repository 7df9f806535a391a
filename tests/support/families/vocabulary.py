"""Tokenizers of the kinds that published models have, trained on a few sentences."""

import json
from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "Identify what is the element that needs attention in this image",
    "Do you like the content? Answer yes or no, and tell why. I like this picture because it shows friends and nature.",
    "A pot is boiling over on the stove. The child is near the knife. There is water on the floor! Nothing needs attention.",
    "You are a helpful assistant.\nBe brief.\n\nThe man holds a cup. The dog sleeps. Is it safe? No. Yes. It is not.\n",
    "Rate the following statements from 1 to 5:\n1. This image is interesting.\n2. This image is new to me.\n",
] * 4


def byte_level(vocabulary: int, special: Sequence[str], plain: Sequence[str] = (), *, qwen: bool = False) -> Tokenizer:
    """GPT-2's kind of tokenizer; with `qwen` split as Qwen2 does. `special` come after the vocabulary, as published."""
    bpe = Tokenizer(models.BPE())
    if qwen:
        bpe.normalizer = normalizers.NFC()
        pattern = (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
            r"|\s+(?!\S)|\s+"
        )
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    else:
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    bpe.train_from_iterator(CORPUS, trainer)
    bpe.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    if plain:
        bpe.add_tokens([AddedToken(token, normalized=False, special=False) for token in plain])
    return bpe


def sentencepiece_like(
    first: Sequence[str], vocabulary: int, *, prefix: bool, special_after: Sequence[str] = (), plain: Sequence[str] = ()
) -> Tokenizer:
    """Llama's and Gemma's kind: spaces become U+2581, unknown characters fall back to bytes. `first` have the lowest
    ids. `plain` are added tokens that are not special, as Gemma has line breaks and HTML tags."""
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    characters = sorted({character for text in CORPUS for character in text.replace(" ", "\u2581")} | {"\u2581"})
    trainer_tokenizer = Tokenizer(models.BPE())
    trainer_tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    trainer_tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", behavior="merged_with_next")
    trainer_tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=characters, show_progress=False)
    )
    learned = json.loads(trainer_tokenizer.to_str())["model"]
    names = [*first, *plain, *fallback]
    names += [piece for piece in sorted(learned["vocab"], key=learned["vocab"].__getitem__) if piece not in set(names)]
    merges = [tuple(merge) for merge in learned["merges"]]
    bpe = Tokenizer(
        models.BPE(
            vocab={name: index for index, name in enumerate(names)},
            merges=merges,
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    replace = normalizers.Replace(" ", "\u2581")
    if prefix:
        bpe.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), replace])
        strip = [decoders.Strip(content=" ", left=1)]
    else:
        bpe.normalizer = replace
        bpe.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
        strip = []
    bpe.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    bpe.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in first])
    if plain:
        bpe.add_tokens([AddedToken(token, normalized=False, special=False) for token in plain])
    bpe.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special_after])
    return bpe


def begins_with(bpe: Tokenizer, token: str) -> None:
    """Lets the tokenizer put a token before each text, as `add_bos_token` does."""
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A {token}:1 $B:1", special_tokens=[(token, bpe.token_to_id(token))]
    )

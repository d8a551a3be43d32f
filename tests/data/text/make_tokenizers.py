# SPDX-License-Identifier: GPL-3.0-or-later
"""Small tokenizers of every family, trained on this repository's text with the family's own normaliser,
pre-tokeniser and special tokens, and what the `tokenizers` and `sentencepiece` packages make of 2,000+ strings.

  python make_tokenizers.py [SEED | FAMILY...]    (tokenizers 0.20, sentencepiece, transformers 4.46)

Writes one directory per family and strings.json. In each directory, expected.u16 holds for every string the
number of ids and the ids, as little-endian 16-bit integers; 65535 alone: not compared (see certain())."""
import json
import pathlib
import random
import struct
import sys

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaTokenizer

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
LETTERS = "naïve Ångström café Straße œuvre Привет мир γειά σου 你好世界 こんにちは 안녕하세요 مرحبا שלום สวัสดี हिन्दी ½ ² Ⅷ ٣٤ 🙂👍🏽"
SIZE = 1200

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+$|\s+")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus():
    files = sorted(p for folder in ("core", "ui", "app", "tests/core", "packaging", "resources/demo")
                   for p in (ROOT / folder).rglob("*") if p.suffix in (".h", ".cpp", ".py", ".sh", ".jsonl"))
    texts = [p.read_text(encoding="utf-8")[:6000] for p in files]
    return texts + [LETTERS] * 5


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def level(**more):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, **more})


def first(token, id):
    return processors.TemplateProcessing(single=f"{token} $A", special_tokens=[(token, id)])


def trained(normalizer, pre_tokenizer, special, texts):
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:  # a Sequence counts as false
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return tokenizer


def families(texts):
    made = {}
    end = AddedToken("<|endoftext|>", special=True, normalized=True)
    t = trained(None, level(), [end], texts)
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    made["gpt2"] = t

    t = trained(normalizers.NFC(), level(), [AddedToken("<|endoftext|>", special=True, normalized=False),
                                             AddedToken("<|padding|>", special=True, normalized=False)], texts)
    t.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    t.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=True)
    made["neox"] = t

    bos = [AddedToken(x, special=True, normalized=False) for x in ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")]
    t = trained(None, pre_tokenizers.Sequence([split(LLAMA3), level(use_regex=False)]), [], texts)
    spec = json.loads(t.to_str())
    spec["model"]["ignore_merges"] = True
    # A whole word that no merges lead to: ignore_merges finds it all the same.
    spec["model"]["vocab"]["ĠquokkaĠ"[:-1]] = len(spec["model"]["vocab"])
    t = Tokenizer.from_str(json.dumps(spec))
    t.add_special_tokens(bos)
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True),
                                            first("<|begin_of_text|>", t.token_to_id("<|begin_of_text|>"))])
    made["llama3"] = t

    t = trained(normalizers.NFC(), pre_tokenizers.Sequence([split(QWEN2), level(use_regex=False)]), [], texts)
    t.add_special_tokens([AddedToken(x, special=True, normalized=False)
                          for x in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    t.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    made["qwen2"] = t

    t = trained(None, pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), level(),
                                               pre_tokenizers.Digits(individual_digits=False),
                                               split("[0-9][0-9][0-9]")]), [">>TITLE<<", "<|endoftext|>"], texts)
    made["falcon"] = t

    t = trained(None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level()]),
                ["<|endoftext|>", "<fim_prefix>"], texts)
    made["starcoder"] = t

    t = trained(None, pre_tokenizers.Sequence([split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK),
                                               level(use_regex=False)]), ["<|begin_of_sentence|>"], texts)
    t.post_processor = processors.Sequence([processors.ByteLevel(), first("<|begin_of_sentence|>", 0)])
    made["deepseek"] = t

    made["o200k"] = trained(None, pre_tokenizers.Sequence([split(O200K), level(use_regex=False)]), ["<|endoftext|>"], texts)
    made["cl100k"] = trained(None, pre_tokenizers.Sequence([split(CL100K), level(use_regex=False)]), ["<|endoftext|>"], texts)

    made["bloom"] = trained(None, pre_tokenizers.Sequence([split(BLOOM), level(use_regex=False)]), ["<unk>", "<s>"], texts)
    made["bloom"].post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=True)

    t = trained(normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), pre_tokenizers.Sequence([
        pre_tokenizers.Split(" ", "merged_with_next"), pre_tokenizers.Split(Regex(r"\w+\s"), "merged_with_previous"),
        pre_tokenizers.Punctuation("merged_with_previous"), level(add_prefix_space=True, use_regex=False)]), ["[CLS]", "[SEP]"], texts)
    t.add_tokens([AddedToken("<L>", lstrip=True, normalized=False), AddedToken("<R>", rstrip=True, normalized=False),
                  AddedToken("Word", single_word=True), AddedToken("Add", normalized=True), AddedToken("adder")])
    t.post_processor = processors.BertProcessing(("[SEP]", t.token_to_id("[SEP]")), ("[CLS]", t.token_to_id("[CLS]")))
    made["flags"] = t

    marked = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    for name in ("llama2", "metaspace"):
        t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        if name == "llama2":
            t.normalizer = marked
        else:
            t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        train = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        train.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True)])
        alphabet = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
        train.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=SIZE, special_tokens=alphabet, limit_alphabet=150,
                                                             show_progress=False))
        spec, shell = json.loads(train.to_str()), json.loads(t.to_str())
        spec["normalizer"], spec["pre_tokenizer"] = shell["normalizer"], shell["pre_tokenizer"]
        spec["added_tokens"] = [a for a in spec["added_tokens"] if a["id"] < 3]
        t = Tokenizer.from_str(json.dumps(spec))
        t.post_processor = first("<s>", 1)
        made[name] = t
    return made


def strings(seed=5):
    rng = random.Random(seed)
    out = ["", " ", "  ", "\n", "\r\n", "\t", "a", "\u0000", "\ufeff", "\u00a0", "\u0085", "\u180e", "\u2028", "\u200b", " " * 40,
           " " * 200 + "x", "\n" * 30, "\r\n\r\n \r\n", "x" * 300, "0123456789" * 8, "don't DON'T don’t we'LL I'm it'S 'ſ 's",
           "e\u0301 é \u1e9b\u0323 ﬁ Å \u212b ｶﾞ ㍿", "\u1100\u1161\u11a8 각", "👩‍👩‍👧‍👦 🇩🇪🇫🇷 👍🏽 ❤️ 🏴\U000e0067\U000e0062\U000e007f",
           "I read<L> a <R>  book   <L> Word word Words add adder Adder <R>\u3000x", "<|endoftext|>", "a<|endoftext|> b <|endoftext|>",
           "<|begin_of_text|>Hi<|eot_id|>", " quokka quokka", "<s>[INST] hi [/INST]</s> <unk>x", "x   <s>  y", ">>TITLE<<>>", "[CLS] a [SEP]",
           "x²+y³=½ ①Ⅷ ٣٤٥ १२३ 𝟘𝟙", "İstanbul ΣΑΣ ß ẞ", "한국어 中文字符，标点。カタカナ ひらがな", "\U0010ffff\ue000\ufffd", "Ⓐⓑ ⅷ ª_º\u203f",
           "a\u200db \u0e33\u0e01 \u093f", "$100.00 1,234,567.89 12345678", "\u2000\u2003\u3000\u205f x", "trailing   ", "   leading"]
    lines = [line for text in corpus() for line in text.split("\n") if 0 < len(line) < 70]
    out += rng.sample(lines, 700)
    pools = ["abcXYZ", " ", " ", "  ", "\t", "\r\n", "\n", "0123456789", "'", "'s", "'RE", "_-.,;:!?()[]{}<>/\\\"", "éàüñçßøŒ",
             "\u0301\u0323\u0308\u0327", "привет", "αβγΣς", "中文字", "かなカナ", "한글\u1100\u1161", "مرحبا\u064b", "שלום\u05b8", "ไทย\u0e33",
             "हिं\u094d", "🙂🎉👍", "\u200d\ufe0f\U0001f3fd", "²³¹½⅓", "ⅧⅳⒶ①", "٣४𝟘", "\u00a0\u2003\u3000", "\u0085\u2028\u180e\u200b\ufeff",
             "€$£¥+=<>|~^", "—–…«»“”’", "\u0000\u0001\u007f", "ſKÅﬁǅ", "\ue000\U000f0000\u0378"]
    out, seen = list(dict.fromkeys(out)), set(out)
    while len(out) < 2050:
        chosen = rng.sample(pools, rng.randint(1, 6))
        text = ""
        for _ in range(rng.randint(1, 14)):
            pool = rng.choice(chosen)
            text += pool if rng.random() < 0.15 else rng.choice(pool) * (1 if rng.random() < 0.9 else rng.randint(2, 12))
        if text not in seen and len(text) < 120:
            seen.add(text)
            out.append(text)
    return out


def write(folder, name, value):
    (HERE / folder).mkdir(exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (HERE / folder / name).write_text(text + "\n", encoding="utf-8")


def certain(processor, name, text):
    """Whether a unigram model has one best answer: which of two equals it gives depends on the version."""
    if name != "sp-unigram" or not text:
        return True
    best = processor.nbest_encode(text, nbest_size=2)
    if len(best) < 2:
        return True
    score, unknown = ([f(ids) for ids in best] for f in (lambda ids: sum(map(processor.get_score, ids)), lambda ids: ids.count(0)))
    return abs(score[0] - score[1]) > 1e-3 or unknown[0] != unknown[1]


def sentencepieces(texts, wanted, expected):
    plain = HERE / "train.txt"
    plain.write_text("\n".join(texts), encoding="utf-8")
    for name, options in {
            "sp-llama": dict(model_type="bpe", byte_fallback=True, split_digits=True, normalization_rule_name="identity",
                             remove_extra_whitespaces=False, allow_whitespace_only_pieces=True),
            "sp-gemma": dict(model_type="bpe", byte_fallback=True, split_digits=True, normalization_rule_name="identity",
                             remove_extra_whitespaces=False, add_dummy_prefix=False, allow_whitespace_only_pieces=True),
            "sp-unigram": dict(model_type="unigram", normalization_rule_name="nmt_nfkc")}.items():
        (HERE / name).mkdir(exist_ok=True)
        prefix = str(HERE / name / "tokenizer")
        sentencepiece.SentencePieceTrainer.train(input=str(plain), model_prefix=prefix, vocab_size=900, pad_id=-1,
                                                 minloglevel=2, num_threads=1, **options)
        pathlib.Path(prefix + ".vocab").unlink()
        processor = sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")
        bos, eos = name != "sp-unigram", name == "sp-unigram"
        config = {"add_bos_token": bos, "add_eos_token": eos, "bos_token": "<s>", "eos_token": {"content": "</s>"}}
        write(name, "tokenizer_config.json", config)
        expected[name] = [[1] * bos + processor.encode(s) + [2] * eos if certain(processor, name, s) else None for s in wanted]
    plain.unlink()
    # The special tokens of a chat model: split from the text before SentencePiece sees it.
    slow = LlamaTokenizer(str(HERE / "sp-llama" / "tokenizer.model"), legacy=True)
    assert slow.encode("Hello there") == [1] + slow.sp_model.encode("Hello there")


def main():
    only = sys.argv[1:] if len(sys.argv) > 1 and not sys.argv[1].isdigit() else None
    texts, expected = corpus(), {}
    if only:
        wanted = json.loads((HERE / "strings.json").read_text(encoding="utf-8"))
    else:
        wanted = strings(*map(int, sys.argv[1:]))
    for name, tokenizer in families(texts).items():
        if only and name not in only:
            continue
        spec = json.loads(tokenizer.to_str())
        if name in ("gpt2", "qwen2"):  # merges as strings, as in older files
            spec["model"]["merges"] = [m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]]
        write(name, "tokenizer.json", spec)
        again = Tokenizer.from_file(str(HERE / name / "tokenizer.json"))
        expected[name] = [again.encode(s).ids for s in wanted]
    if not only:
        rest(texts, wanted, expected)
        write(".", "strings.json", wanted)
    for name, rows in expected.items():
        numbers = [n for row in rows for n in ((len(row), *row) if row is not None else (0xFFFF,))]
        (HERE / name / "expected.u16").write_bytes(struct.pack(f"<{len(numbers)}H", *numbers))
    print(len(wanted), "strings,", len(expected), "families")


def rest(texts, wanted, expected):
    """The families whose files are no tokenizer.json."""
    model = json.loads((HERE / "gpt2" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    write("gpt2-files", "vocab.json", model["vocab"])
    (HERE / "gpt2-files" / "merges.txt").write_text("#version: 0.2\n" + "\n".join(model["merges"]) + "\n", encoding="utf-8")
    expected["gpt2-files"] = expected["gpt2"]
    sentencepieces(texts, wanted, expected)


if __name__ == "__main__":
    main()

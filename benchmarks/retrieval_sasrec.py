"""What a small neural sequence model would add to the fusion, on the validation items.

SASRec (Kang & McAuley 2018, arXiv 1808.09781) with full cross-entropy instead of sampled
negatives (as in arXiv 2309.07602) is trained on what the fusion is fitted on. Reported: its
training time, its own recall and ndcg at ten, and those of a sum over the hundred best of both:
the fusion's score brought to unit deviation over a user's candidates, plus a weight times SASRec's.
The weight is chosen on one half of the users and the gain measured on the other. The number of
epochs is the best on the same validation items, which flatters SASRec, not the fusion.

    python -m benchmarks.retrieval_sasrec ITEMS SEQUENCES
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rag_rec import Dataset
from rag_rec.data import leave_last_out
from rag_rec.evaluation.metrics.accuracy import ndcg, ranks_of, recall, standard_error
from rag_rec.evaluation.rankings import histories_of
from rag_rec.evaluation.retrieval import RetrievalOptions, open_fitted

DEPTH, LENGTH, WIDTH, BLOCKS, DROPOUT = 100, 20, 64, 2, 0.4
BATCH, RATE, EPOCHS, PATIENCE, LOOK_EVERY = 128, 1e-3, 60, 3, 4
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


class SasRec(nn.Module):
    """Causal self-attention over the last `LENGTH` items; item 0 is padding."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items + 1, WIDTH, padding_idx=0)
        self.places = nn.Embedding(LENGTH, WIDTH)
        nn.init.normal_(self.items.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, 2, 4 * WIDTH, DROPOUT, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, BLOCKS, nn.LayerNorm(WIDTH), False)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, sequences: Tensor) -> Tensor:
        """States ``[b, LENGTH, WIDTH]`` of right-padded sequences ``[b, LENGTH]``."""
        x = self.dropout(self.items(sequences) + self.places.weight)
        mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
        return self.blocks(x, mask=mask, is_causal=True)

    def scores(self, states: Tensor) -> Tensor:
        """Logits of every item but padding."""
        return states @ self.items.weight[1:].T


def padded(sequences: list[list[int]]) -> Tensor:
    """The last `LENGTH` items of each, counted from 1, padded on the right."""
    table = np.zeros((len(sequences), LENGTH), np.int64)
    for row, items in zip(table, sequences, strict=True):
        row[: len(items[-LENGTH:])] = np.array(items[-LENGTH:]) + 1
    return torch.from_numpy(table)


def epoch(model: SasRec, optimiser: torch.optim.Optimizer, sequences: list[list[int]]) -> float:
    """One pass in random order; the mean loss."""
    model.train()
    losses = []
    for rows in torch.randperm(len(sequences)).split(BATCH):
        picked = [sequences[row] for row in rows]
        inputs, following = padded([s[:-1] for s in picked]), padded([s[1:] for s in picked])
        states = model(inputs)[following > 0]
        loss = nn.functional.cross_entropy(model.scores(states), following[following > 0] - 1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.no_grad()
def scored(model: SasRec, asked: list[list[int]]) -> NDArray[np.float32]:
    """Log-probabilities ``[u, n_items]``; items of the history at the bottom."""
    model.eval()
    parts = []
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        last = torch.tensor([min(len(items), LENGTH) - 1 for items in some])
        states = model(padded(some))[torch.arange(len(some)), last]
        part = model.scores(states).log_softmax(-1).numpy()
        for row, items in zip(part, some, strict=True):
            row[items] = -np.inf
        parts.append(part)
    return np.concatenate(parts)


def best(scores: NDArray[np.float32], depth: int) -> NDArray[np.int32]:
    top = np.argpartition(-scores, depth, axis=1)[:, :depth]
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    return np.take_along_axis(top, order, 1).astype(np.int32)


def trained(
    n_items: int, fit: list[list[int]], asked: list[list[int]], targets: NDArray[np.int32]
) -> tuple[NDArray[np.float32], float, float]:
    """Scores of the best epoch, seconds an epoch, seconds until the best one."""
    torch.manual_seed(0)
    model = SasRec(n_items)
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    kept, found, spent, until, at = None, -1.0, 0.0, 0.0, 0
    for number in range(1, EPOCHS + 1):
        started = time.perf_counter()
        loss = epoch(model, optimiser, fit)
        spent += time.perf_counter() - started
        if number % LOOK_EVERY:
            continue
        scores = scored(model, asked)
        now = float(ndcg(ranks_of(best(scores, DEPTH), targets), 10).mean())
        print(f"epoch {number}: loss {loss:.3f}, ndcg@10 {now:.4f}, {spent:.0f} s", file=sys.stderr)
        if now > found:
            kept, found, until, at = scores, now, spent, number
        elif number - at >= PATIENCE * LOOK_EVERY:
            break
    assert kept is not None
    return kept, spent / number, until


def union(
    fused: list[tuple[NDArray[np.int32], NDArray[np.float64]]], neural: NDArray[np.float32]
) -> list[tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]]:
    """Candidates of both, the fusion's score (its lowest where it lists none) and SASRec's."""
    users = []
    for (items, scores), of_all, own in zip(fused, neural, best(neural, DEPTH), strict=True):
        together = np.union1d(items, own)
        first = np.full(len(together), scores.min(initial=0.0))
        first[np.searchsorted(together, items)] = scores
        users.append((together, _unit(first), _unit(of_all[together].astype(np.float64))))
    return users


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - values.mean()) / (values.std() or 1.0)


def summed(users: list, weight: float, targets: NDArray[np.int32]) -> NDArray[np.int64]:
    """Ranks of the targets by the weighted sum."""
    table = np.full((len(users), DEPTH), -1, np.int32)
    for row, (items, first, second) in zip(table, users, strict=True):
        top = items[np.argsort(-(first + weight * second), kind="stable")[:DEPTH]]
        row[: len(top)] = top
    return ranks_of(table, targets)


def line(name: str, ranks: NDArray[np.int64]) -> None:
    found, gain = recall(ranks, 10), ndcg(ranks, 10)
    print(
        f"{name:44} R@10 {found.mean():.4f} ± {standard_error(found):.4f}"
        f"  N@10 {gain.mean():.4f} ± {standard_error(gain):.4f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", type=Path)
    parser.add_argument("sequences", type=Path)
    given = parser.parse_args()
    data = Dataset.load(items=given.items, interactions=given.sequences, format="sequences")
    split = leave_last_out(data, hidden=3, n_target=2)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        fitted = open_fitted(split.fit, RetrievalOptions(n_target=2), Path(scratch))
        fit_s = time.perf_counter() - started
        index = fitted.index
        fused = fitted.ranked(histories_of(split, mask_history=True), DEPTH)
        targets = np.array([index.find(item_id) for item_id in split.targets], np.int32)
        asked = [[index.find(item_id) for item_id in items] for items in split.inputs]
        log = split.fit.interactions.group_by("user_id", maintain_order=True).agg("item_id")
        fit = [[index.find(item_id) for item_id in items] for items in log["item_id"]]
        n_items = index.n_items
        index.close()
    fit = [items for items in fit if len(items) > 1]
    neural, an_epoch, until = trained(n_items, fit, asked, targets)
    users = union(fused, neural)
    held = np.arange(len(users)) % 2 == 1
    gains = [ndcg(summed(users, weight, targets)[~held], 10).mean() for weight in WEIGHTS]
    weight = WEIGHTS[int(np.argmax(gains))]
    print(
        f"{os.cpu_count()} cores; the fusion was fitted in {fit_s:.0f} s, SASRec in {until:.0f} s"
    )
    print(f"({an_epoch:.1f} s an epoch); weight {weight:g} chosen on {sum(~held)} users")
    alone = ranks_of(best(neural, DEPTH), targets)
    before, after = summed(users, 0.0, targets), summed(users, weight, targets)
    line("SASRec alone, all users", alone)
    line("fusion, all users", before)
    line("SASRec alone, held-out half", alone[held])
    line("fusion, held-out half", before[held])
    line("fusion and SASRec, held-out half", after[held])
    gain = (ndcg(after, 10) - ndcg(before, 10))[held]
    print(f"gain in N@10: {gain.mean():+.4f} ± {standard_error(gain):.4f} ({held.sum()} users)")
    reach = [np.mean([t in of for t, of in zip(targets, lists, strict=True)]) for lists in (
        [items for items, _ in fused], [items for items, _, _ in users])]  # fmt: skip
    print(f"target among the candidates: {reach[0]:.4f} of the fusion's, {reach[1]:.4f} of both")


if __name__ == "__main__":
    main()

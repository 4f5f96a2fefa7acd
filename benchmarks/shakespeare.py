"""A GPT on tinyshakespeare in both libraries: the same first weights, the same batches, step by step.

``python benchmarks/shakespeare.py [--steps 20] [--seed 0] [--data-dir DIR] [--evaluate]``

Ours is what ``numbanet train gpt --dataset tinyshakespeare`` does: the recipe's model, batches, schedule, limit of the
gradient and optimiser. PyTorch's twin is ``nn.TransformerEncoder`` with the norms in front, whose keys are ours, and
AdamW. Printed are the losses of each step and by how much they differ; with ``--evaluate`` after all steps the loss on
the whole validation text, and by nanoGPT's own estimator, which need ``--steps 2000`` to mean something. Needs PyTorch
in this interpreter.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import numbanet
from numbanet.training import build
from numbanet.training.config import Config
from numbanet.training.recipes import recipe
from numbanet.training.trainer import Trainer


class Twin(nn.Module):
    """The registered ``gpt`` in PyTorch."""

    def __init__(self, vocab_size: int, max_length: int, d_model: int = 128, heads: int = 4, layers: int = 4) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab_size, d_model), nn.Embedding(max_length, d_model)
        layer = nn.TransformerEncoderLayer(d_model, heads, 4 * d_model, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, layers, nn.LayerNorm(d_model), enable_nested_tensor=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        length = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        x = self.blocks(self.tokens(tokens) + self.positions.weight[:length], mask=mask, is_causal=True)
        return functional.linear(x, self.tokens.weight)


def loss_of(twin: Twin, inputs: np.ndarray, targets: np.ndarray) -> torch.Tensor:
    """Mean cross-entropy; targets of −100 count for nothing."""
    return functional.cross_entropy(twin(torch.from_numpy(inputs)).flatten(0, 1), torch.from_numpy(targets).flatten())


def optimizer_of(twin: Twin, config: Config) -> torch.optim.Optimizer:
    """AdamW with decay for matrices only."""
    groups = [
        {"params": [one for one in twin.parameters() if one.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [one for one in twin.parameters() if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, config.lr, (config.beta1, config.beta2), config.eps, fused=True)


def trained_side_by_side(trainer: Trainer, twin: Twin, steps: int) -> Iterator[tuple[float, float]]:
    """The losses of each step, ours and the twin's."""
    optimizer, loader, done = optimizer_of(twin, trainer.config), trainer.loader, 0
    while done < steps:
        for inputs, targets in loader:
            ours = trainer.step(inputs, targets)
            for group in optimizer.param_groups:
                group["lr"] = trainer.step.last_rate
            optimizer.zero_grad()
            loss = loss_of(twin, inputs.numpy(), targets.numpy())
            loss.backward()
            nn.utils.clip_grad_norm_(twin.parameters(), trainer.config.clip_norm)
            optimizer.step()
            yield ours, loss.item()
            done += 1
            if done == steps:
                return


def evaluated(trainer: Trainer, twin: Twin) -> tuple[float, float]:
    """The loss on the whole validation text, ours and the twin's."""
    ours, total, count = trainer.task.evaluate(trainer.model, trainer.data.test).loss, 0.0, 0
    with torch.inference_mode():
        for inputs, targets in trainer.task.batches(trainer.model, trainer.data.test):
            shown = int((targets.numpy() >= 0).sum())
            total, count = total + loss_of(twin, inputs.numpy(), targets.numpy()).item() * shown, count + shown
    return ours, total / count


def estimated(trainer: Trainer, twin: Twin, batches: int = 200) -> tuple[float, float]:
    """The mean of the losses of random batches of the validation text, as nanoGPT's ``estimate_loss`` has it."""
    part, random, totals = trainer.data.test, np.random.default_rng(0), np.zeros(2)
    trainer.model.eval()
    for _ in range(batches):
        inputs, targets = part.get_batch(random.integers(len(part), size=trainer.config.batch_size))
        with numbanet.no_grad(), torch.inference_mode():
            ours = trainer.objective(trainer.model(numbanet.tensor(inputs)), numbanet.tensor(targets))
            totals += ours.item(), loss_of(twin, inputs, targets).item()
    trainer.model.train()
    return tuple(totals / batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--steps", type=int, default=20, help="training steps (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (default 0)")
    parser.add_argument("--data-dir", default="", help="folder with tinyshakespeare.txt")
    parser.add_argument("--evaluate", action="store_true", help="the loss on the validation text after all steps")
    parser.add_argument("--threads", type=int, default=2, help="threads on both sides (default 2)")
    options = parser.parse_args()
    settings = {"model": "gpt", "dataset": "tinyshakespeare", "seed": options.seed, "data_dir": options.data_dir}
    torch.set_num_threads(options.threads)
    config = Config.from_dict({**settings, "threads": options.threads}, recipe("gpt", "tinyshakespeare"))
    config = build.use_machine(config)
    trainer = Trainer(config)
    state = {name: torch.from_numpy(value.numpy().copy()) for name, value in trainer.model.state_dict().items()}
    twin = Twin(*state["tokens.weight"].shape[:1], *state["positions.weight"].shape[:1])
    twin.load_state_dict(state)
    worst = 0.0
    for number, (ours, theirs) in enumerate(trained_side_by_side(trainer, twin, options.steps), start=1):
        worst = max(worst, abs(ours - theirs))
        if number <= 20 or number % 100 == 0:
            print(
                f"step {number:5}  numbanet {ours:.6f}  torch {theirs:.6f}  difference {ours - theirs:+.1e}", flush=True
            )
    print(f"largest difference of {options.steps} steps: {worst:.1e}")
    if options.evaluate:
        ours, theirs = evaluated(trainer, twin)
        print(f"loss on the whole validation text: numbanet {ours:.4f}  torch {theirs:.4f}")
        ours, theirs = estimated(trainer, twin)
        print(f"nanoGPT's estimator (200 random batches): numbanet {ours:.4f}  torch {theirs:.4f}")


if __name__ == "__main__":
    main()

"""Train LeNet-5 for 20 steps and print a checksum of its weights and losses: `python .ci/weights.py THREADS`."""

from __future__ import annotations

import hashlib
import sys

import numbanet
from numbanet import datasets, models, optim
from numbanet.nn import functional as F

numbanet.set_backend("cpu")
numbanet.set_num_threads(int(sys.argv[1]))
numbanet.manual_seed(1)
split = datasets.load("digits").train
pictures, labels = split.images[:1280].astype("float32") / 255, split.labels[:1280]
model = models.create_model("lenet5")
optimiser = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
digest = hashlib.sha256()
for step in range(20):
    # 61 a batch: whole tiles and edge tiles
    batch = slice(61 * step, 61 * (step + 1))
    loss = F.cross_entropy(model(numbanet.from_numpy(pictures[batch])), numbanet.from_numpy(labels[batch]))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    digest.update(loss.detach().numpy().tobytes())
for value in model.state_dict().values():
    digest.update(value.detach().numpy().tobytes())
print(digest.hexdigest())

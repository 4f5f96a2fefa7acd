"""What a recording looks at: the modules and tensors that a function names."""

from __future__ import annotations

import numbanet as nb
from numbanet import nn
from numbanet.graph.watch import Watch, own_attributes


class Net(nn.Module):
    """A user's module, with members and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.scale = nn.Parameter(nb.ones(3))
        self.register_buffer("mean", nb.zeros(3))
        self.factor, self.other = 2.0, [nn.ReLU()]

    def forward(self, x: nb.Tensor) -> nb.Tensor:
        return self.other[0](self.layer(x) * self.scale - self.mean) * self.factor


def test_members_are_seen_as_members():
    """Not as attributes too: parameters and submodules would then have two names, or be taken for modules apart."""
    net, alone = Net(), nn.Parameter(nb.ones(1))
    own = {name for name, _ in own_attributes(net) if not name.endswith("hooks")}
    assert {"factor", "other", "training"} <= own
    assert not own & {"layer", "scale", "mean", "_parameters", "_buffers", "_modules"}
    watch = Watch(lambda x: net(x) * alone)
    assert watch.modules == [net, net.other[0]]
    names = [name for name, _ in watch.tensors()]
    assert names[:4] == ["scale", "layer.weight", "layer.bias", "mean"]
    assert len(names) == 5

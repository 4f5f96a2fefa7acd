"""Optimizer: parameter groups, state, and one update operation for all parameters of a group."""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from numbanet import changes
from numbanet.autograd import enable_grad, no_grad, tell_of_hook, undo_list, update_number, with_numbers
from numbanet.hooks import RemovableHandle, add_hook
from numbanet.tensor import Tensor, clear_gradients


@dataclass(slots=True)
class Batch:
    """Parameters that one update operation changes together: same dtype, same stage of their state."""

    parameters: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)


class HyperSlot:
    """A few numbers in a tensor of their own, which the update kernel reads through a pointer.

    Rewritten in place: a step allocates nothing, and a recorded step can be replayed with other numbers.
    """

    __slots__ = ("_values", "_view", "tensor")

    def __init__(self, like: Tensor, count: int) -> None:
        self.tensor = like.new_zeros((count,))
        self._view = self.tensor._array.numpy()
        self._values: tuple[float, ...] = ()

    def write(self, values: tuple[float, ...]) -> Tensor:
        """The tensor, holding ``values``."""
        if values != self._values:
            self._view[:] = values
            self._values = values
        return self.tensor


class Optimizer:
    """Base class: ``params`` is an iterable of tensors, or of dictionaries with "params" and options of their own.

    ``param_groups`` holds the groups with all their options (change ``group["lr"]`` at any time), ``state`` the
    tensors that the method keeps for each parameter. A derived class gives ``defaults``, checks options in
    :meth:`_check` and updates one group in :meth:`_update`; or overrides :meth:`step`.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {type(params).__name__}"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._prepare()
        self._check(defaults)
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def _prepare(self) -> None:
        """What is neither saved nor copied."""
        self._slots: dict[tuple[int, int, int, np.dtype], HyperSlot] = {}
        self._pre_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._post_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._stepped = False

    # --- for derived classes --------------------------------------------------------------------------------------
    def _check(self, options: dict[str, Any]) -> None:
        """Raise ValueError for options that make no sense; called for the defaults and for every group."""

    def _update(self, index: int, group: dict[str, Any]) -> None:
        """Change the parameters of group number ``index`` that have a gradient; gradients are off."""
        raise NotImplementedError

    def _batches(
        self, group: dict[str, Any], stage: Callable[[Sequence[Tensor], Sequence[dict]], list] | None
    ) -> Iterator[tuple[Any, Batch]]:
        """The group's parameters that have a gradient, split by dtype and by ``stage(parameters, states)``.

        Nearly always one batch, which costs no more than a few lists. Without ``stage`` the method keeps no state.
        """
        parameters = [parameter for parameter in group["params"] if parameter._grad is not None]
        if not parameters:
            return
        gradients = [parameter._grad for parameter in parameters]
        dtypes = [parameter._array.dtype for parameter in parameters]
        count, state = len(parameters), self.state
        states = [] if stage is None else [state[parameter] for parameter in parameters]
        undo = undo_list()
        if undo is not None and states:
            undo.append(partial(_restore, states, [{**one} for one in states]))
        stages = [None] * count if stage is None else stage(parameters, states)
        if dtypes == dtypes[:1] * count and stages == stages[:1] * count:
            yield stages[0], Batch(parameters, gradients, states)
            return
        batches: dict[tuple[np.dtype, object], Batch] = {}
        for number, key in enumerate(zip(dtypes, stages, strict=True)):
            batch = batches.setdefault(key, Batch())
            batch.parameters.append(parameters[number])
            batch.gradients.append(gradients[number])
            if stage is not None:
                batch.states.append(states[number])
        for (_, reached), batch in batches.items():
            yield reached, batch

    def _hyper(self, index: int, number: int, like: Tensor, values: tuple[float, ...]) -> Tensor:
        """The slot of batch ``number`` of group ``index``, holding ``values`` in the dtype of ``like``."""
        key = (update_number(), index, number, like.dtype)
        slot = self._slots.get(key)
        if slot is None or slot.tensor._array.storage.backend is not like._array.storage.backend:
            slot = self._slots[key] = HyperSlot(like, len(values))
        return slot.write(values)

    # --- for users ------------------------------------------------------------------------------------------------
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. ``closure`` computes the loss anew; its result is returned."""
        if self._pre_hooks or self._post_hooks:
            tell_of_hook()
        for hook in self._pre_hooks.values():
            hook(self, (closure,), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            with_numbers(self._update_groups)
        self._stepped = True
        for hook in self._post_hooks.values():
            hook(self, (closure,), {})
        return loss

    def _update_groups(self) -> None:
        for index, group in enumerate(self.param_groups):
            self._update(index, group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            clear_gradients(group["params"], set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: {"params": tensors, option: value, …}; options left out take the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. Please use a list instead."
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        for parameter in params:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(parameter).__name__}"
                )
            if not parameter.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        taken = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        if len({id(parameter) for parameter in params}) != len(params):
            raise ValueError("optimizer contains a parameter group with duplicate parameters")
        if any(id(parameter) in taken for parameter in params):
            raise ValueError("some parameters appear in more than one parameter group")
        group = {**self.defaults, **param_group, "params": params}
        self._check(group)
        changes.note()
        self.param_groups.append(group)

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step."""
        return add_hook(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return add_hook(self._post_hooks, hook)

    # --- state ----------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: {name: value}}, "param_groups": […]}, parameters as numbers in order of the groups.

        The tensors share memory with the optimiser.
        """
        numbers = {id(p): n for n, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [{**group, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups]
        state = {numbers.get(id(p), p): dict(values) for p, values in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state (tensors or ndarrays, which are copied) and the options of the groups.

        Raises ValueError when groups, sizes or shapes differ, or when an option is set that this class does not have.
        """
        saved, groups = state_dict["param_groups"], self.param_groups
        if len(saved) != len(groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(new["params"]) != len(group["params"]) for new, group in zip(saved, groups, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        numbers = [number for group in saved for number in group["params"]]
        parameters = [parameter for group in groups for parameter in group["params"]]
        by_number = dict(zip(numbers, parameters, strict=True))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            parameter = by_number.get(number)
            if parameter is None:
                raise ValueError(
                    f"loaded state dict has state for parameter {number!r}, which is in none of its groups"
                )
            state[parameter] = {name: _own(name, value, number, parameter) for name, value in values.items()}
        merged = [self._merge(group, new) for group, new in zip(groups, saved, strict=True)]
        # Nothing was changed so far: a state that does not fit leaves the optimiser as it was.
        changes.note()
        self.state = state
        for group, new in zip(groups, merged, strict=True):
            group.update(new)

    def _merge(self, group: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
        known = {name: copy.deepcopy(value) for name, value in saved.items() if name != "params"}
        for name, value in list(known.items()):
            if name in _FOREIGN:
                if value and name in _CHANGES_RESULT:
                    raise ValueError(f"loaded state dict has {name}={value!r}, which {type(self).__name__} cannot do")
                del known[name]
        self._check({**group, **known})
        return known

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for index, group in enumerate(self.param_groups):
            text += f"\nParameter Group {index}\n"
            text += "".join(f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params")
        return text + ")"


def _restore(states: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> None:
    """Let the states hold what they held before."""
    for state, values in zip(states, before, strict=True):
        state.clear()
        state.update(values)


# Options of PyTorch's optimisers that say how to compute, or what this library does not offer.
_CHANGES_RESULT = ("maximize", "amsgrad")
_FOREIGN = (*_CHANGES_RESULT, "foreach", "fused", "capturable", "differentiable", "param_names")


def _own(name: str, value: Any, number: int, parameter: Tensor) -> Any:
    """A state value as this optimiser's own: a copy in the parameter's dtype, or a plain number."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        values = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        if values.ndim == 0 and name == "step":
            return int(values)
        if values.shape != tuple(parameter.shape):
            raise ValueError(
                f"loaded state dict has {name!r} of shape {values.shape} for parameter {number}, "
                f"whose shape is {tuple(parameter.shape)}"
            )
        return parameter.new_tensor(values.astype(parameter.dtype))
    return int(value) if name == "step" else copy.deepcopy(value)

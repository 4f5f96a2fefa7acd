"""state_dict and load_state_dict: the state of a module as a flat dictionary of tensors, and back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from numbanet.autograd import no_grad
from numbanet.hooks import RemovableHandle, add_hook
from numbanet.nn.parameter import Parameter
from numbanet.tensor import Tensor

_EXTRA_STATE = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What :meth:`Module.load_state_dict` did not find in the state, and what it found but has no place for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class StateDict:
    """The part of :class:`Module` that reads and writes its state."""

    _STATE_TABLES = (
        "_state_dict_pre_hooks",
        "_state_dict_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_post_hooks",
    )

    # --- out ------------------------------------------------------------------------------------------------------
    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers under their dotted names.

        The tensors share memory with the module: later training changes them (copy them to keep them). They are
        detached unless ``keep_vars``.
        """
        destination = OrderedDict() if destination is None else destination
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            if hook(self, destination, prefix, {}) is not None:
                raise RuntimeError("state_dict post-hook must return None")
        return destination

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """This module's own entries, without its children's; subclasses may add to it."""
        for name, member in self._local_state().items():
            destination[prefix + name] = member if keep_vars else member.detach()
        if self._has_extra_state():
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def _local_state(self) -> dict[str, Tensor]:
        buffers = {
            name: buffer for name, buffer in self._buffers.items() if name not in self._non_persistent_buffers_set
        }
        return {name: member for name, member in {**self._parameters, **buffers}.items() if member is not None}

    def get_extra_state(self) -> Any:
        """State besides tensors; a subclass that has some defines this and :meth:`set_extra_state`."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: it does not define get_extra_state()")

    def set_extra_state(self, state: Any) -> None:
        """Take back what :meth:`get_extra_state` gave."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: it does not define set_extra_state()")

    def _has_extra_state(self) -> bool:
        return type(self).get_extra_state is not StateDict.get_extra_state

    # --- in -------------------------------------------------------------------------------------------------------
    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy a state (Tensors or ndarrays) into the parameters and buffers, in place.

        ``strict=False`` lets keys be missing or left over and reports them in the result. ``assign=True`` puts the
        given tensors in place of the module's own (make the optimiser afterwards).
        Raises RuntimeError that lists everything that does not fit.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        keys = IncompatibleKeys([], [])
        errors: list[str] = []
        self._load_tree(OrderedDict(state_dict), "", {"assign_to_params_buffers": assign}, keys, errors)
        if strict:
            for title, wrong in (("Unexpected", keys.unexpected_keys), ("Missing", keys.missing_keys)):
                if wrong:
                    errors.insert(0, f"{title} key(s) in state_dict: " + ", ".join(f'"{key}"' for key in wrong) + ". ")
        if errors:
            lines = "\n\t".join(errors)
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{lines}")
        return keys

    def _load_tree(
        self, state: dict[str, Any], prefix: str, metadata: dict, keys: IncompatibleKeys, errors: list[str]
    ) -> None:
        self._load_from_state_dict(state, prefix, metadata, True, keys.missing_keys, keys.unexpected_keys, errors)
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}{name}."
                below = OrderedDict((key, value) for key, value in state.items() if key.startswith(path))
                module._load_tree(below, path, metadata, keys, errors)
        for hook in self._load_state_dict_post_hooks.values():
            if hook(self, keys) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                    "values, if incompatible_keys need to be modified, it should be done inplace."
                )

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """This module's own entries, without its children's; subclasses may rename keys of old states here."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        local = self._local_state()
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, member in local.items():
            key = prefix + name
            if key not in state_dict:
                missing_keys.append(key)
                continue
            problem = self._load_entry(name, member, key, state_dict[key], assign)
            if problem is not None:
                error_msgs.append(problem)
        extra = prefix + _EXTRA_STATE
        if self._has_extra_state():
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            else:
                missing_keys.append(extra)
        for key in state_dict:
            if not key.startswith(prefix) or (key == extra and self._has_extra_state()):
                continue
            name, dot, _ = key[len(prefix) :].partition(".")
            if name not in (self._modules if dot else local):
                unexpected_keys.append(key)

    def _load_entry(self, name: str, member: Tensor, key: str, value: Any, assign: bool) -> str | None:
        """Copy one entry; what is wrong with it as a line of the error, else None."""
        if not isinstance(value, (Tensor, np.ndarray, np.generic)):
            return (
                f'While copying the parameter named "{key}", expected Tensor or ndarray from checkpoint but '
                f"received {type(value)}"
            )
        if tuple(value.shape) != tuple(member.shape):
            return (
                f"size mismatch for {key}: copying a param with shape {tuple(value.shape)} from checkpoint, "
                f"the shape in current model is {tuple(member.shape)}."
            )
        if value.dtype == np.float16:  # which weights are stored in and no tensor of ours has
            value = value.astype(np.float32)
        try:
            value = value if isinstance(value, Tensor) else member.new_tensor(value)
            with no_grad():
                if not assign:
                    member.copy_(value)
                elif isinstance(member, Parameter):
                    setattr(self, name, Parameter(value, requires_grad=member.requires_grad))
                else:
                    setattr(self, name, value)
        except (TypeError, ValueError, RuntimeError) as error:
            return (
                f'While copying the parameter named "{key}", whose dimensions in the model are {tuple(member.shape)} '
                f"and whose dimensions in the checkpoint are {tuple(value.shape)}, an exception occurred : {error}."
            )
        return None

    # --- hooks ----------------------------------------------------------------------------------------------------
    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before :meth:`state_dict` reads this module."""
        return add_hook(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` afterwards; it may change the state in place."""
        return add_hook(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing, unexpected, errors)`` first."""
        return add_hook(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the lists in place."""
        return add_hook(self._load_state_dict_post_hooks, hook)

"""Calling a module: forward with the hooks around it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from numbanet.autograd import tell_of_hook
from numbanet.hooks import RemovableHandle, add_hook
from numbanet.nn.hooks import BackwardHooks


class HookedCall:
    """The part of :class:`Module` that runs ``forward`` and what the user hung around it."""

    _CALL_TABLES = (
        "_forward_pre_hooks",
        "_forward_pre_hooks_with_kwargs",
        "_forward_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_backward_pre_hooks",
        "_backward_hooks",
    )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._forward_pre_hooks or self._forward_hooks or self._backward_hooks or self._backward_pre_hooks:
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    @property
    def has_call_hooks(self) -> bool:
        """Whether a call does more than ``forward``."""
        return bool(self._forward_pre_hooks or self._forward_hooks or self._backward_hooks or self._backward_pre_hooks)

    def _call_with_hooks(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        tell_of_hook()
        result = None
        waiting = dict(self._forward_hooks_always_called)
        try:
            args, kwargs = self._run_forward_pre_hooks(args, kwargs)
            gradients = None
            if self._backward_hooks or self._backward_pre_hooks:
                gradients = BackwardHooks(self, self._backward_pre_hooks.values(), self._backward_hooks.values())
                args = gradients.watch_inputs(args)
            result = self.forward(*args, **kwargs)
            for key, hook in list(self._forward_hooks.items()):
                waiting.pop(key, None)
                result = self._run_forward_hook(key, hook, args, kwargs, result)
            return result if gradients is None else gradients.watch_outputs(result)
        except Exception:
            for key in waiting:
                try:
                    result = self._run_forward_hook(key, self._forward_hooks[key], args, kwargs, result)
                except Exception as error:  # the first error is the one that the caller must see
                    warnings.warn(
                        "module forward hook with ``always_call=True`` raised an exception that was silenced as "
                        f"another error was raised in forward: {error}",
                        stacklevel=3,
                    )
            raise

    def _run_forward_pre_hooks(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        for key, hook in list(self._forward_pre_hooks.items()):
            if key in self._forward_pre_hooks_with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                    )
                args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        return args, kwargs

    def _run_forward_hook(self, key: int, hook: Callable, args: tuple, kwargs: dict[str, Any], result: Any) -> Any:
        if key in self._forward_hooks_with_kwargs:
            changed = hook(self, args, kwargs, result)
        else:
            changed = hook(self, args, result)
        return result if changed is None else changed

    # --- registration ---------------------------------------------------------------------------------------------
    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; what it returns (not None) takes the place of the inputs.

        With ``with_kwargs`` the hook is ``hook(module, args, kwargs)`` and returns None or ``(args, kwargs)``.
        """
        return add_hook(self._forward_pre_hooks, hook, prepend, (self._forward_pre_hooks_with_kwargs, with_kwargs))

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; what it returns (not None) takes the output's place.

        With ``with_kwargs`` the hook is ``hook(module, args, kwargs, output)``; with ``always_call`` it runs even when
        ``forward`` raised (output None).
        """
        return add_hook(
            self._forward_hooks,
            hook,
            prepend,
            (self._forward_hooks_with_kwargs, with_kwargs),
            (self._forward_hooks_always_called, always_call),
        )

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when the gradients of the outputs are known; it may return new ones."""
        return add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are known.

        Both are tuples with None for what is no tensor or has no gradient; a returned tuple takes the place of
        ``grad_input`` in what follows.
        """
        return add_hook(self._backward_hooks, hook, prepend)

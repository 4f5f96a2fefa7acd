"""Whether the arena of a plan keeps what is still needed: the plan is walked through, level by level.

This shares nothing with the planner: no lifetimes are worked out. Each 64 bytes of the arena have an owner, the storage
that was last put there; who uses a storage must still own what it claimed, and two storages that are used in one level
may not share anything.
"""

from __future__ import annotations

import numpy as np

from numbanet.graph.plan import Plan

LINE = 64


def overlaps(plan: Plan) -> list[str]:
    """What is wrong, in words; nothing if all is well."""
    places = {id(one): (offset // LINE, -(-(offset + one.nbytes) // LINE)) for one, offset, _ in plan.arena}
    used_by = {id(call.piece): call for call in plan.calls}
    owners = np.full(plan.arena_bytes // LINE + 1, -1, np.int64)
    claimed: dict[int, int] = {}
    wrong = [f"{at} lies unaligned" for _, at, _ in plan.arena if at % LINE]
    for number, level in enumerate(plan.levels):
        storages = {}
        for piece, _ in level:
            call = used_by[id(piece)]
            for array in (*call.reads, *call.writes, *piece.workspaces):
                if id(array.storage) in places:
                    storages[id(array.storage)] = call.name
        taken = np.zeros(owners.size, bool)
        for one, name in storages.items():
            begin, end = places[one]
            if taken[begin:end].any():
                wrong.append(f"level {number}: {name} uses memory that another call of the level uses")
            taken[begin:end] = True
            if one not in claimed:
                claimed[one] = len(claimed)
                owners[begin:end] = claimed[one]
            elif (owners[begin:end] != claimed[one]).any():
                wrong.append(f"level {number}: {name} uses memory that was given to another storage meanwhile")
    return wrong

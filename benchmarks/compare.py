"""Compare numbanet with PyTorch and NumPy: ``python benchmarks/compare.py [WORKLOAD …]``.

A workload is named in full, by a part between slashes (``gemm``, ``training``, ``resnet20``), or by a pattern;
``--list`` shows all. Each library runs in a process of its own, the processes take turns in slices of a fraction of a
second, and a round is done again if the machine was disturbed: foreign load, or a multiply-add calibration below the
best seen lately. Reported are ratios of medians and of minima; a bar holds only if both hold it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import report
import workloads
from measure import MOST_TRIES, Measurer, Plan


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("workloads", nargs="*", metavar="WORKLOAD", help="what to measure (default: all)")
    add("--list", action="store_true", help="list the workloads and stop")
    add("--check", action="store_true", help="call each side once and compare the results, measure nothing")
    add("--random", type=int, metavar="SEED", help="shapes drawn from stated ranges instead of the known ones")
    add("--count", type=int, default=50, help="how many random shapes (default 50)")
    add("--threads", type=int, default=2, help="threads on all sides (default 2)")
    add("--single-thread", action="store_true", help="measure one thread on all sides as well, in the same rounds")
    add("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    add("--turns", type=int, help="slices a side a round (default 4 for networks, 3 for kernels)")
    add("--slice", type=float, metavar="S", help="seconds a slice (default 0.25 for networks, 0.1 for kernels)")
    add("--tries", type=int, default=MOST_TRIES, help=f"how often a round is tried at most (default {MOST_TRIES})")
    add("--quick", action="store_true", help="one round of one short slice: does it run at all")
    add("--torch-compile", action="store_true", help="measure torch.compile as well (it needs a C++ tool chain)")
    add("--cold", action="store_true", help="begin with an empty kernel cache, so that compiling is seen")
    add("--torch-python", help="an interpreter with PyTorch (default: this one)")
    add("--json", metavar="FILE", help="write the records to FILE, after each workload")
    add("--markdown", action="store_true", help="print a Markdown table as well")
    add("--into", metavar="FILE", help="put the Markdown table between the marks in FILE, such as README.md")
    add("--from-json", metavar="FILE", nargs="+", help="report on the records of FILEs, measure nothing")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure and report; returns the exit status."""
    options = parse(arguments)
    if options.torch_compile:
        os.environ[workloads.compiled.TORCH_COMPILE] = "1"  # the workers look there, too
    known = workloads.standard() if options.random is None else workloads.drawn(options.random, options.count)
    try:
        names = workloads.select(list(known), options.workloads)
    except ValueError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{name}  ({', '.join(known[name].sides)})" for name in names))
        return 0
    with contextlib.ExitStack() as stack:
        if options.cold:
            os.environ["NUMBANET_CACHE_DIR"] = stack.enter_context(tempfile.TemporaryDirectory())
        return run([known[name] for name in names], options)


def run(chosen: list[workloads.Workload], options: argparse.Namespace) -> int:
    """Check, or report on what was measured now or before; returns the exit status."""
    if options.check:
        return check(chosen, options)
    if options.from_json:
        wanted = {workload.name for workload in chosen} if options.workloads else None
        kept = [record for file in options.from_json for record in json.loads(Path(file).read_text())]
        records = [record for record in kept if wanted is None or record["workload"] in wanted]
        for record in records:
            print(report.record_text(record))
    else:
        records = measure(chosen, options)
    show(records, options)
    return 0


def check(chosen: list[workloads.Workload], options: argparse.Namespace) -> int:
    """Hold the sides' results against each other; 1 if any differ."""
    measurer, wrong = _measurer(Plan(options.threads), options), 0
    try:
        for workload in chosen:
            missing, differences = measurer.check(workload)
            wrong += bool(differences)
            notes = [f"{side} is not available ({reason})" for side, reason in missing.items()]
            notes += [f"{side} DIFFERS by {difference:.1e}" for side, difference in differences.items()]
            print(f"{workload.name}: {'; '.join(notes) or 'the same results'}", flush=True)
    finally:
        measurer.close()
    return 1 if wrong else 0


def _measurer(plan: Plan, options: argparse.Namespace) -> Measurer:
    drawn = None if options.random is None else (options.random, options.count)
    return Measurer(plan, drawn, options.torch_python)


def measure(chosen: list[workloads.Workload], options: argparse.Namespace) -> list[dict]:
    """The records of the workloads, printed as they come; Ctrl-C ends early and keeps what there is."""
    plan = Plan(
        options.threads, options.single_thread, 1 if options.quick else options.rounds,
        1 if options.quick else options.turns, 0.02 if options.quick else options.slice,
        1 if options.quick else options.tries,
    )  # fmt: skip
    measurer, records = _measurer(plan, options), []
    try:
        for number, workload in enumerate(chosen, start=1):
            record = measurer.measure(workload)
            records.append(record)
            print(f"[{number}/{len(chosen)}] {report.record_text(record)}", flush=True)
            if options.json:
                Path(options.json).write_text(json.dumps(records, indent=1))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    finally:
        measurer.close()
    return records


def show(records: list[dict], options: argparse.Namespace) -> None:
    """The summary, the worst of many, the Markdown table."""
    print(f"\n{report.summary_text(records)}")
    if options.random is not None or len(records) > 10:
        print("\nthe worst ten:")
        print("\n".join(f"  {value:.2f}×  {name}" for value, name in report.worst(records)))
    if options.markdown:
        print(f"\n{report.markdown(records)}")
    if options.into:
        path = Path(options.into)
        text = report.replace_section(path.read_text(encoding="utf-8"), report.markdown(records))
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

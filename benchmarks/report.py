"""Records as text for a terminal and as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bars import Verdict, judge_all
from ratios import Ratio, Record, geometric_mean, ratio, scaling

TITLES = {
    "torch NCHW": "PyTorch NCHW", "torch channels_last": "channels_last", "torch": "PyTorch", "numpy": "NumPy"
}  # fmt: skip
"""The other sides in the order of the report, and what a table calls them."""
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


# --- a terminal --------------------------------------------------------------------------------------------------
def record_text(record: Record) -> str:
    """A few lines on one workload."""
    disturbed = f"{record['disturbed_rounds']} disturbed after {record['tries']} tries"
    lines = [f"{record['workload']}: {record['threads']} threads, {record['rounds']} rounds ({disturbed})"]
    for place, suffix in (("sides", ""), ("single", ", 1 thread")):
        lines += [_row_text(side + suffix, row) for side, row in record[place].items()]
    lines += [f"  {side}: not available ({reason})" for side, reason in record["unavailable"].items()]
    lines += [
        f"  {side} COMPUTES SOMETHING ELSE: results differ by {difference:.1e}"
        for side, difference in record["differences"].items()
    ]
    return "\n".join(lines + _ratio_lines(record))


def _row_text(name: str, row: Record) -> str:
    spread = f"({min(row['round_medians_ms']):.4g}–{max(row['round_medians_ms']):.4g})"
    of = "peak" if row["of"] == "peak" else "copy"
    compiled = f"  made ready in {row['compile_s']:.1f} s" if row["compile_s"] >= 0.05 else ""
    return (
        f"  {name:30} {row['median_ms']:9.4g} ms {spread:17} minimum {row['min_ms']:9.4g} ms "
        f"{row['rate']:7.1f} {row['unit']:7} {row['share']:4.0%} of {of}{compiled}"
    )


def _ratio_lines(record: Record) -> list[str]:
    lines = []
    for rival in rivals(record):
        for place, where in (("sides", ""), ("single", ", 1 thread")):
            found = ratio(record, rival, place)
            if found:
                lines.append(f"  against {rival}{where}: {ratio_text(found)}")
    found = scaling(record)
    if found:
        lines.append(f"  {record['threads']} threads against 1: {ratio_text(found)}")
    return lines


def rivals(record: Record) -> list[str]:
    """The libraries that a record compares with."""
    return [name for name in ("numpy", "torch") if any(side.startswith(name) for side in record["sides"])]


def ratio_text(found: Ratio) -> str:
    return (
        f"{found.median:.2f}× by medians ({found.low:.2f}–{found.high:.2f}), {found.minima:.2f}× by minima, "
        f"{found.corrected:.2f}× corrected for the machine's speed"
    )


def verdict_text(verdict: Verdict) -> str:
    """A bar on one line, or two if something is missing."""
    bar = verdict.bar
    asked = [f"geometric mean ≥ {bar.mean}"] if bar.mean is not None else []
    asked += [f"each ≥ {bar.each}"] if bar.each is not None else []
    asked += [f"aim {bar.aim}"] if bar.aim is not None else []
    word = "holds " if verdict.holds else "FAILS "
    text = f"{word} {bar.text} ({', '.join(asked)}): "
    if verdict.count:
        text += f"{verdict.mean[0]:.2f} by medians, {verdict.mean[1]:.2f} by minima, on {verdict.count}"
        text += f"; worst {verdict.worst[1]:.2f} {verdict.worst[0]}"
    if verdict.missing:
        text += f"\n         not measured: {', '.join(verdict.missing[:8])}"
        text += f" and {len(verdict.missing) - 8} more" if len(verdict.missing) > 8 else ""
    return text


def summary_text(records: Sequence[Record]) -> str:
    """Disturbed rounds, geometric means by family, and the bars."""
    rounds, disturbed = (sum(record[key] for record in records) for key in ("rounds", "disturbed_rounds"))
    lines = [f"{len(records)} workloads, {rounds} rounds, {disturbed} of them disturbed", ""]
    for family, rival, medians, minima, count in families(records):
        lines.append(
            f"{family:14} against {rival:20} {medians:6.2f}× by medians {minima:6.2f}× by minima, mean of {count}"
        )
    lines += ["", *(verdict_text(verdict) for verdict in judge_all(records))]
    return "\n".join(lines)


def families(records: Iterable[Record]) -> list[tuple[str, str, float, float, int]]:
    """Family, other side, geometric means by medians and minima, number of workloads."""
    table: dict[tuple[str, str], list[Ratio]] = {}
    for record in records:
        names = [side for side in TITLES if side in record["sides"]]
        if "torch NCHW" in names and "torch channels_last" in names:
            names.append("torch")  # the faster of both
        for name in names:
            found = ratio(record, name)
            if found:
                table.setdefault((record["family"], name), []).append(found)
    return [
        (
            family, "torch, faster format" if name == "torch" and (family, "torch NCHW") in table else name,
            geometric_mean(one.median for one in found), geometric_mean(one.minima for one in found), len(found),
        )
        for (family, name), found in table.items()
    ]  # fmt: skip


def worst(records: Iterable[Record], count: int = 10) -> list[tuple[float, str]]:
    """The records with the smallest ratios (the smaller of medians and minima), each against its bar's other side."""
    ranked = []
    for record in records:
        found = ratio(record, "numpy") or ratio(record, "torch")
        if found:
            ranked.append((found.worse, record["workload"]))
    return sorted(ranked)[:count]


# --- Markdown ----------------------------------------------------------------------------------------------------
def markdown(records: Sequence[Record]) -> str:
    """A table of all workloads."""
    sides = [side for side in TITLES if any(side in record["sides"] for record in records)]
    single = any(record["single"] for record in records)
    head = ["", "numbanet, ms", *(f"{TITLES[side]}, ms" for side in sides), "ratio", "of minima"]
    head += ["1 thread"] if single else []
    head += ["rate", "share", "compile, s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cells(record, sides, single)) + " |" for record in records]
    return "\n".join(lines)


def _cells(record: Record, sides: Sequence[str], single: bool) -> list[str]:
    rows, ours = record["sides"], record["sides"].get(record["ours"])
    if ours is None:
        return [record["workload"], "not available", *[""] * (len(sides) + 5 + single)]
    found = ratio(record, "numpy") or ratio(record, "torch")
    alone = ratio(record, "numpy", "single") or ratio(record, "torch", "single")
    cells = [record["workload"], f"{ours['median_ms']:.3g}"]
    cells += [f"{rows[side]['median_ms']:.3g}" if side in rows else "" for side in sides]
    cells += [f"{found.median:.2f} ({found.low:.2f}–{found.high:.2f})", f"{found.minima:.2f}"] if found else ["", ""]
    cells += [f"{alone.median:.2f}" if alone else ""] if single else []
    # A network whose operations nobody has counted has no rate.
    cells += [f"{ours['rate']:.3g} {ours['unit']}", f"{ours['share']:.0%}"] if ours["rate"] else ["", ""]
    return [*cells, f"{ours['compile_s']:.1f}"]


def replace_section(text: str, table: str) -> str:
    """``text`` with ``table`` between its two marks. ValueError if it has none."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"there is no place for a table: no lines {BEGIN} and {END}")
    before, after = text.split(BEGIN, 1)[0], text.split(END, 1)[1]
    return f"{before}{BEGIN}\n{table}\n{END}{after}"

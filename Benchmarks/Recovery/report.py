"""Makes the table and the plot of what recovery.py measured.

usage: report.py DIR      reads DIR/*.json, writes DIR/table.md and DIR/recovery.svg
"""

from __future__ import annotations

import json
import os
import sys
from html import escape
from typing import Any

from engines import ENGINES

Found = dict[str, Any]


def measured(directory: str) -> list[Found]:
    """What the JSON files say, in the order of the stores."""
    found = []
    for name in ENGINES:
        path = os.path.join(directory, name.replace(" ", "-") + ".json")
        if os.path.exists(path):
            with open(path) as file:
                found.append(json.load(file))
            # Parts that were not measured yet.
            for part in ("kills", "flips", "full", "backup", "syncs", "speed"):
                found[-1].setdefault(part, {"failed": "", "absent": True})
    return found


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 0.001:
        return f"{value * 1e6:.0f} us"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.2g} s"


def of_kills(one: Found) -> tuple[str, str]:
    kills = one["kills"]
    if "absent" in kills:
        return "–", "–"
    if kills["failed"]:
        return f"does not open after {kills['kills']} kills", seconds(kills["reopen"])
    return (f"**{kills['lost']:,}**" if kills["lost"] else "0") + f" of {kills['acknowledged']:,}", \
        seconds(kills["reopen"])


def of_flips(one: Found) -> str:
    flips = one["flips"]
    if "failed" in flips:
        return "–"
    return " / ".join(
        f"**{flips[kind]}**" if flips[kind] and kind in ("wrong", "crashed") else str(flips[kind])
        for kind in ("found", "harmless", "wrong", "crashed"))


def of_full(one: Found) -> str:
    full = one["full"]
    if "failed" in full:
        return "–"
    parts = [full["crash"] and f"**{full['crash'][:40]}**" or (
        "error" if full["error"] else "**no error**")]
    if not full["crash"]:
        parts.append("reads go on" if full["reads"] else "**reads fail**")
    after = full["after"]
    if "lost" not in after:
        parts.append("**does not open again**")
    else:
        parts.append(f"**{after['lost']:,} lost**" if after["lost"] else "0 lost")
        if not after["writes"]:
            parts.append("**writes fail**")
    return ", ".join(parts)


def of_backup(one: Found) -> str:
    backup = one["backup"]
    if "absent" in backup:
        return "–"
    if "failed" in backup:
        return "**copy does not open**" if "during" in backup else "**fails**"
    same = f"{backup['same']} of {backup['queries']}"
    lost = f"{backup['lost']:,} lost"
    return (same if backup["same"] == backup["queries"] else f"**{same}**") + ", " + (
        f"**{lost}**" if backup["lost"] else lost)


def table(stores: list[Found]) -> str:
    """Markdown; what is bad is bold."""
    lines = [
        "| store | acknowledged records lost | reopen after a kill | bits flipped: found / harmless / "
        "wrong / crashed | full disk | backup under writes: same answers | syncs a write | one write | "
        "import, records/s | search (recall@10) |", "|---|---|---|---|---|---|---|---|---|---|"]
    for one in stores:
        lost, reopen = of_kills(one)
        speed, syncs = one["speed"], one["syncs"]
        has_speed = "rate" in speed
        lines.append("| " + " | ".join([
            one["label"], lost, reopen, of_flips(one), of_full(one), of_backup(one),
            f"{syncs['each']:.3g}" if "each" in syncs else "–",
            seconds(speed["write"]) if has_speed else "–",
            f"{speed['rate']:,.0f}" if has_speed else "–",
            f"{seconds(speed['search'])} ({speed['recall']:.3f})" if has_speed else "–"]) + " |")
    lines += ["", "| store | settings | backup |", "|---|---|---|"]
    lines += [f"| {one['label']} | {one['settings']} | {one['backup_method']} |" for one in stores]
    return "\n".join(lines) + "\n"


WORDS = {
    "found": "found: an error", "harmless": "harmless: all answers right",
    "wrong": "wrong answers, no error", "crashed": "the process dies"}


def plot(stores: list[Found]) -> str:
    """What one flipped bit did, as bars."""
    rows = [one for one in stores if "failed" not in one["flips"]]
    left, width, height = 170, 520, 76 + 26 * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" width="760" '
        f'height="{height}" role="img" aria-label="What one flipped bit does to a stored index">',
        "<style>\n  text { font: 13px system-ui, sans-serif; fill: #1f2328 }\n"
        "  .title { font-weight: 600; font-size: 14px }\n  .in { fill: #ffffff; font-size: 12px }\n"
        "  .found { fill: #0969da } .harmless { fill: #8c959f }\n"
        "  .wrong { fill: #cf222e } .crashed { fill: #8250df }\n"
        "  @media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .in { fill: #ffffff } }\n"
        "</style>",
        '<text class="title" x="10" y="22">One flipped bit in a closed store: what reading it does'
        "</text>"]
    x = 10
    for kind, word in WORDS.items():
        parts.append(f'<rect class="{kind}" x="{x}" y="36" width="12" height="12"/>')
        parts.append(f'<text x="{x + 17}" y="47">{escape(word)}</text>')
        x += 34 + 7 * len(word)
    for place, one in enumerate(rows):
        y, x = 64 + 26 * place, float(left)
        total = sum(one["flips"][kind] for kind in WORDS)
        parts.append(
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(one["label"])}</text>')
        for kind in WORDS:
            count = one["flips"][kind]
            if not count:
                continue
            long = width * count / total
            parts.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{long:.1f}" height="19"/>'
                f'<text class="in" x="{x + long / 2:.1f}" y="{y + 14}" text-anchor="middle">{count}'
                "</text>")
            x += long
    return "\n".join([*parts, "</svg>"]) + "\n"


def write(directory: str) -> None:
    """Writes the table and the plot beside the JSON files."""
    stores = measured(directory)
    text = table(stores)
    with open(os.path.join(directory, "table.md"), "w") as file:
        file.write(text)
    with open(os.path.join(directory, "recovery.svg"), "w") as file:
        file.write(plot(stores))
    print(text)


if __name__ == "__main__":
    write(sys.argv[1])

"""Draws the speed tables of README.md as one SVG chart: searches a second at equal recall."""

import argparse
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
COLUMN = "searches/s at recall 0.95"
WIDTH, LEFT, RIGHT, BAR, GAP, TITLE = 760, 200, 90, 18, 6, 44
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 14px }
  .legend, .value { fill: #59636e }
  .ours { fill: #0969da } .oursHigh { fill: #54aeff }
  .peer { fill: #8c959f } .peerHigh { fill: #c8cdd2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .legend, .value { fill: #9198a1 }
    .peer { fill: #656c76 } .peerHigh { fill: #3d444d }
  }
"""


def rows(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text):
    """(title, [(engine, speed at recall 0.95, speed at 0.99)]) of each table with the column."""
    found = []
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if not line.startswith("|") or COLUMN not in line:
            continue
        at = rows(line).index(COLUMN)
        values = []
        for row in lines[index + 2:]:
            if not row.startswith("|"):
                break
            cells = rows(row)
            values.append((cells[0], *(int(cells[at + i].replace(",", "")) for i in (0, 1))))
        found.append((rows(line)[0], values))
    return found


def bars(title, values, top, scale):
    """SVG lines of one table, and the y where they end."""
    lines = [f'<text class="title" x="{LEFT}" y="{top + 24}">{escape(title)}</text>']
    y = top + TITLE
    for engine, low, high in values:
        kind = "ours" if engine.startswith("vecdb") else "peer"
        lines += [
            f'<text x="{LEFT - 10}" y="{y + 13}" text-anchor="end">{escape(engine)}</text>',
            f'<rect class="{kind}High" x="{LEFT}" y="{y}" width="{low * scale:.1f}" height="{BAR}"/>',
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{high * scale:.1f}" height="{BAR}"/>',
            f'<text class="value" x="{LEFT + low * scale + 8:.1f}" y="{y + 13}">{low:,}</text>',
        ]
        y += BAR + GAP
    return lines, y


def chart(found):
    body, y = [], 0
    for title, values in found:
        scale = (WIDTH - LEFT - RIGHT) / max(low for _, low, _ in values)
        lines, y = bars(title, values, y, scale)
        body += lines
    legend = "searches a second on one thread: dark at recall 0.99, light (and number) at 0.95"
    body.append(f'<text class="legend" x="{LEFT}" y="{y + 22}">{legend}</text>')
    height = y + 36
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" '
            f'aria-label="Searches a second of vecdb and its peers at equal recall">\n'
            f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", default=ROOT / "README.md", type=Path,
                        help="the file with the tables (default: the repository's README.md)")
    parser.add_argument("--output", default=ROOT / "Benchmarks" / "speed.svg", type=Path,
                        help="the chart (default: Benchmarks/speed.svg)")
    parser.add_argument("--check", action="store_true",
                        help="write nothing; exit with 1 if the chart is not that of the tables")
    options = parser.parse_args()
    found = tables(options.readme.read_text(encoding="utf-8"))
    if not found:
        parser.error(f"{options.readme} has no table with the column '{COLUMN}'")
    drawn = chart(found)
    if options.check:
        same = options.output.exists() and options.output.read_text(encoding="utf-8") == drawn
        raise SystemExit(0 if same else f"{options.output} is out of date; run {Path(__file__).name}")
    options.output.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()

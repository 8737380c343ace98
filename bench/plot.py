"""plot.py: one SVG for each question: a bar for each row, its spread, and the goal, all as parts of the goal."""

import html
import os

WIDTH, LEFT, RIGHT, LINE, TOP = 900, 430, 90, 34, 44


def _x(part):
    """Parts of the goal up to 2 have room; what is beyond is cut, and its number tells."""
    return LEFT + min(max(part, 0), 2) / 2 * (WIDTH - LEFT - RIGHT)


def _label(question):
    return question if len(question) <= 66 else "…" + question[-65:]


def svg(id_, rows, number):
    height = TOP + LINE * len(rows) + 30
    goal = _x(1)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             f'<text x="12" y="22" font-size="15" font-weight="bold">{html.escape(id_)}</text>',
             f'<text x="{goal}" y="22" text-anchor="middle" fill="#555">goal</text>']
    for index, row in enumerate(rows):
        y = TOP + index * LINE
        parts.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{html.escape(_label(row.question))}</text>')
        if row.value is None:
            parts.append(f'<text x="{LEFT + 6}" y="{y + 15}" fill="#999">not measured</text>')
            continue
        colour = "#3b7d4f" if row.met else "#b5533c"
        end, low, high = (_x(value / row.goal) for value in (row.value, min(row.values), max(row.values)))
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{max(end - LEFT, 1):.1f}" height="20" fill="{colour}" fill-opacity="0.75"/>')
        parts.append(f'<path d="M{low:.1f} {y + 10}H{high:.1f}M{low:.1f} {y + 5}v10M{high:.1f} {y + 5}v10" stroke="#222" fill="none"/>')
        sign = "≤" if row.most else "≥"
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{y + 15}">{number(row.value)} ({sign} {row.goal:g})</text>')
    parts.append(f'<path d="M{goal} 28V{height - 24}" stroke="#555" stroke-dasharray="4 3"/>')
    parts.append(f'<text x="{LEFT}" y="{height - 8}" fill="#555">bar: median; whiskers: lowest and highest round; scale: parts of the goal, 0 to 2</text>')
    return "\n".join(parts + ["</svg>", ""])


def write(bench, out):
    """Gives the file's name for each question that was measured at all."""
    from report import number
    names = {}
    for id_ in bench.goals.ids():
        rows = [row for row in bench.goals.rows if row.id == id_]
        name = f"{id_}.svg"
        if all(row.value is None for row in rows):
            if os.path.exists(os.path.join(out, name)):
                os.unlink(os.path.join(out, name))
            continue
        with open(os.path.join(out, name), "w", encoding="utf-8") as file:
            file.write(svg(id_, rows, number))
        names[id_] = name
    return names

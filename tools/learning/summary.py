#!/usr/bin/env python3
"""Summarises evaluations as summary.json and summary.md, and success over demonstrations as demonstrations.svg.

    tools/learning/summary.py OUT TITLE EXPERT NAME=FOLDER...

FOLDER holds eval.json of `thinkvla eval`, itself or in a folder for each task; EXPERT is that of the expert on the same
seeds. Where names are like "base + 10 demonstrations", the plot is drawn too.
"""
import json
import math
import pathlib
import re
import statistics
import sys

TASKS = ('height', 'container', 'position')
COLOURS = ('#1f77b4', '#d62728', '#2ca02c', '#9467bd')
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 420, 60, 20, 90, 60


def reports(folder):
    """Reports of a folder, of its tasks in their order."""
    paths = [folder / 'eval.json', *(folder / task / 'eval.json' for task in TASKS)]
    found = [json.loads(path.read_text()) for path in paths if path.exists()]
    if not found:
        sys.exit(f'{folder}: expected eval.json of thinkvla eval, there or in a folder of a task; found none')
    return found


def key(trial):
    return trial['task'], trial['variation'], trial['seed']


def row(name, report, expert):
    """Figures of a task; `expert` has the expert's seconds of the trials in which it succeeded."""
    [whole] = [group for group in report['groups'] if group['variation'] is None]
    done = [trial for trial in report['trials'] if trial['success']]
    ratios = [trial['seconds'] / expert[key(trial)] for trial in done if key(trial) in expert]
    return {
        'name': name,
        'task': whole['task'],
        'policy': report['setting']['policy'],
        'latency_ms': report['setting']['latency_ms'],
        'shuffled_cameras': report['setting']['shuffled_cameras'],
        'replan_steps': report['setting']['replan_steps'],
        'first_seed': min(trial['seed'] for trial in report['trials']),
        'success': whole['success'],
        'clamped_share': whole['clamped_share'],
        'seconds_p50': whole['seconds_p50'],
        'times_expert_p50': statistics.median(ratios) if ratios else None,
        'failed': [f"{trial['variation']}-{trial['seed']}" for trial in report['trials'] if not trial['success']],
    }


def table(rows):
    lines = ['| | task | successes | 95 % interval (Wilson) | clamped commands | median time of a success '
             '| times the expert\'s |', '|---|---|---|---|---|---|---|']
    for one in rows:
        success = one['success']
        seconds, times = one['seconds_p50'], one['times_expert_p50']
        cells = [
            one['name'], one['task'], f"{success['successes']} / {success['trials']}",
            f"{100 * success['low']:.0f} to {100 * success['high']:.0f} %", f"{100 * one['clamped_share']:.1f} %",
            '–' if seconds is None else f'{seconds:.1f} s', '–' if times is None else f'{times:.2f}',
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return '\n'.join(lines)


def curves(rows):
    """Points (demonstrations, success) of each start, by the names of the rows."""
    found = {}
    for one in rows:
        match = re.fullmatch(r'(.*) \+ (\d+) demonstrations', one['name'])
        if match:
            found.setdefault(match[1], []).append((int(match[2]), one['success']))
    return {start: sorted(points, key=lambda point: point[0]) for start, points in found.items()}


def plot(title, found, alone):
    """Success over the number of demonstrations as SVG; bars are 95 % intervals, `alone` are starts without any."""
    counts = sorted({count for points in found.values() for count, _ in points})
    span = math.log(counts[-1] / counts[0]) or 1.0

    def x(count):
        return LEFT + 20 + (WIDTH - LEFT - RIGHT - 40) * math.log(count / counts[0]) / span

    def y(share):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def text(left, top, caption, anchor='middle', more=''):
        return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}"{more}>{caption}</text>'

    def line(ends, more):
        return '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" {}/>'.format(*ends, more)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="13">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             text(WIDTH / 2, 24, title, more=' font-size="15"')]
    for percent in range(0, 101, 20):
        parts.append(line((LEFT, y(percent / 100), WIDTH - RIGHT, y(percent / 100)), 'stroke="#ddd"'))
        parts.append(text(LEFT - 8, y(percent / 100) + 4, f'{percent} %', 'end'))
    parts += [text(x(count), HEIGHT - BOTTOM + 20, count) for count in counts]
    parts.append(text(WIDTH / 2, HEIGHT - 14, 'demonstrations, logarithmic; bars: 95 % intervals (Wilson)'))
    for number, (start, points) in enumerate(found.items()):
        colour = COLOURS[number % len(COLOURS)]
        shift = 4 * (number - (len(found) - 1) / 2)
        at = [(x(count) + shift, success) for count, success in points]
        rate = [(left, y(success['successes'] / success['trials'])) for left, success in at]
        parts += [line((left, y(success['low']), left, y(success['high'])), f'stroke="{colour}"') for left, success in at]
        parts.append('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>'.format(
            ' '.join(f'{left:.1f},{top:.1f}' for left, top in rate), colour))
        parts += [f'<circle cx="{left:.1f}" cy="{top:.1f}" r="4" fill="{colour}"/>' for left, top in rate]
        if start in alone:
            level = y(alone[start])
            parts.append(line((LEFT, level, WIDTH - RIGHT, level), f'stroke="{colour}" stroke-dasharray="5 4"'))
        label = f'{start}; dashed: without demonstrations' if start in alone else start
        parts.append(text(LEFT + 8, 48 + 18 * number, label, 'start', f' fill="{colour}"'))
    return '\n'.join([*parts, '</svg>', ''])


def main(out, title, expert, *named):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    experts = reports(pathlib.Path(expert))
    seconds = {key(trial): trial['seconds'] for report in experts for trial in report['trials'] if trial['success']}
    rows, machine, settings = [], experts[0]['machine'], [report['setting']['parameters'] for report in experts]
    for one in named:
        name, _, folder = one.rpartition('=')
        found = reports(pathlib.Path(folder))
        settings += [report['setting']['parameters'] for report in found]
        rows += [row(name, report, seconds) for report in found]
    if any(setting != settings[0] for setting in settings):
        sys.exit(f'{out}: expected evaluations with the same parameters, found several; repeat those of the older program')
    rows += [row('expert', report, seconds) for report in experts]
    (out / 'summary.json').write_text(json.dumps({'title': title, 'machine': machine, 'rows': rows}, indent=1) + '\n')
    note = (f"Machine: {machine['cpu']}, {machine['cores']} threads, {machine['memory_gib']:.1f} GiB, "
            f"{machine['build']} build. Times the expert's: median over the trials in which both succeeded.")
    (out / 'summary.md').write_text(f'{title}\n\n{table(rows)}\n\n{note}\n')
    found = curves(rows)
    if found:
        alone = {one['name']: one['success']['successes'] / one['success']['trials'] for one in rows}
        (out / 'demonstrations.svg').write_text(plot(title, found, alone))
    print((out / 'summary.md').read_text())


if __name__ == '__main__':
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])

"""Tests that docs/reliability.md and tools/reliability.sh have the same claims, and name only what exists."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / 'tools' / 'reliability.sh'
ROW = re.compile(r'^\| (\d+) \| (.*) \|$', re.MULTILINE)


def documented():
    page = (ROOT / 'docs' / 'reliability.md').read_text()
    return {int(number): cells.split(' | ') for number, cells in ROW.findall(page)}


def listed():
    rows = re.search(r"^rows='(.*?)'$", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)[1]
    return {int(row.split('|')[0]): row.split('|')[1] for row in rows.splitlines()}


def test_table_and_script_have_the_same_claims():
    table = documented()
    assert sorted(table) == list(range(1, 28))
    assert {number: cells[0] for number, cells in table.items()} == listed()


def test_every_row_has_a_method_a_number_a_result_and_the_command_that_measures_it():
    for number, cells in documented().items():
        assert len(cells) == 5 and all(cells), number
        assert re.fullmatch(rf'`tools/reliability\.sh {number}( \d+)?`', cells[4]), number


def test_the_tests_that_the_script_names_exist():
    code = SCRIPT.read_text()
    rust = '\n'.join(path.read_text() for path in (ROOT / 'tests').rglob('*.rs'))
    for name in re.findall(r'test\((\w+)\)', code):
        assert re.search(rf'fn \w*{name}', rust), name
    for path in re.findall(r'tests/\S+\.py', code):
        assert (ROOT / path).is_file(), path
    targets = {path.stem for path in (ROOT / 'fuzz' / 'fuzz_targets').glob('*.rs')}
    named = re.search(r'file_targets=\((.*?)\)', code)[1].split()
    assert targets == {*named, 'image_view', 'decode'}


def test_a_row_that_does_not_exist_is_refused():
    done = subprocess.run(['bash', '-c', f'{SCRIPT} 28'], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and 'expected 1 to 27' in done.stderr

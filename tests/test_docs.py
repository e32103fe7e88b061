"""Tests of the documentation: links resolve, figures equal those in the files, and the README stays short."""
import json
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = ROOT / 'README.md'
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'), *(ROOT / 'checkpoints').rglob('*.md'),
                *(ROOT / 'tests').rglob('*.md')])


def prose(page):
    """A page without its code."""
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.S | re.M)
    return re.sub(r'`[^`\n]*`', '', text)


def anchors(page):
    """Anchors of a page's headings, as GitHub makes them."""
    seen = {}
    for heading in re.findall(r'^#{1,6} +(.+?) *$', re.sub(r'^```.*?^```', '', page.read_text(), flags=re.S | re.M), re.M):
        name = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading.lower())
        name = re.sub(r'[^\w\- ]', '', name).replace(' ', '-')
        count = seen.get(name, 0)
        seen[name] = count + 1
        yield f'{name}-{count}' if count else name


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    broken = []
    for target in re.findall(r'\]\(([^)\s]+)\)', prose(page)):
        if re.match(r'[a-z]+:', target):
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        if not file.is_relative_to(ROOT) or not file.exists():
            broken.append(f'{target}: there is no such file')
        elif anchor and anchor not in set(anchors(file)):
            broken.append(f'{target}: {file.name} has no such heading')
    assert not broken, '\n'.join(broken)


@pytest.mark.parametrize('page', [page for page in PAGES if page.name != 'CHANGELOG.md'],
                         ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_the_package_exist(page):
    """Paths that begin with a folder of the package; the changelog also names old ones."""
    folders = 'config|docs|examples|interfaces|launch|src|tests|tools'
    named = set(re.findall(rf'(?<![\w/.<>$-])((?:{folders})/[\w./*-]*\w)', page.read_text()))
    missing = sorted(path for path in named - {'src/thinkvla/tools/setup.sh'} if not list(ROOT.glob(path)))
    assert not missing, missing


def test_every_page_is_listed():
    listed = set(re.findall(r'\]\(([\w.-]+\.md)', (ROOT / 'docs' / 'README.md').read_text()))
    assert listed == {page.name for page in (ROOT / 'docs').glob('*.md')} - {'README.md'}


def test_the_readme_is_a_first_page():
    assert 600 <= len(README.read_text().split()) <= 800


def test_success_rates_are_those_of_the_files():
    results = {task: json.loads((ROOT / 'docs' / 'results' / 'small_policy' / f'{task}.json').read_text())
               for task in ('height', 'container', 'position')}
    counts = {task: (sum(trial['success'] for trial in result['trials']), len(result['trials']))
              for task, result in results.items()}
    readme, status = README.read_text(), (ROOT / 'docs' / 'status.md').read_text()
    for task, (successes, trials) in counts.items():
        assert trials == 100 and f'{successes} (`{task}`)' in readme
        assert f'| {task} | {successes} / {trials} |' in status


def test_sentences_are_plain():
    checked = subprocess.run([sys.executable, str(ROOT / 'tools' / 'check' / 'prose.py')], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize('text', ['/// Why the arm is where it is.', '/// Where to.', '//! Whose names they have.'])
def test_riddles_in_doc_comments_are_refused(text, tmp_path):
    source = tmp_path / 'source.rs'
    source.write_text(f'{text}\npub struct Item;\n')
    checked = subprocess.run([sys.executable, str(ROOT / 'tools' / 'check' / 'prose.py'), str(source)],
                             capture_output=True, text=True)
    assert checked.returncode == 1 and 'source.rs:1' in checked.stdout


def distance(a, b):
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def test_parameters_that_resemble_those_of_other_nodes_are_known():
    # In a file for all nodes a name within 2 of one of a node's own is taken for a misspelling.
    parameters = (ROOT / 'docs' / 'ros_interface.md').read_text().partition('## Parameters')[2]
    of_nodes = {section.split()[0]: set(re.findall(r'^\| `(\w+)` \|', section, re.M))
                for section in parameters.split('\n### ')[1:]}
    resembling = {name for node, own in of_nodes.items() for other in of_nodes.values() for name in other - own
                  if any(distance(name, known) <= 2 for known in own)}
    source = (ROOT / 'src' / 'ros' / 'node' / 'parameters' / 'overrides.rs').read_text()
    listed = re.search(r'RESEMBLING: .* = \[(.*)\];', source).group(1)
    assert len(of_nodes) == 6 and resembling == set(re.findall(r'"(\w+)"', listed))

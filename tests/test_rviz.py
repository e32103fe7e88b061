"""Tests that every display of the rviz configuration shows a published topic."""
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIG = yaml.safe_load((ROOT / 'rviz' / 'policy.rviz').read_text())['Visualization Manager']
CAMERAS = ['top', 'wrist']
# Message type that each kind of display reads; None for those that read only tf.
SHOWS = {
    'rviz_default_plugins/Grid': None,
    'rviz_default_plugins/TF': None,
    'rviz_default_plugins/RobotModel': 'std_msgs/msg/String',
    'rviz_default_plugins/MarkerArray': 'visualization_msgs/msg/MarkerArray',
    'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
}
LATCHED = {'/robot_description', '/workspace_markers'}


def published():
    """Topics and types of the table that the nodes themselves use."""
    source = (ROOT / 'src' / 'ros' / 'node' / 'topics.rs').read_text()
    driver = (ROOT / 'src' / 'realman' / 'graph.rs').read_text()
    named = {f'graph::{name}': value for name, value in re.findall(r'pub const (\w+): &str = "([^"]+)";', driver)}
    table = re.findall(r'= topic\(\s*("[^"]+"|graph::\w+),\s*"([^"]+)",\s*"([^"]*)",?\s*\)', source)
    assert len(table) == int(re.search(r'ALL: \[Topic; (\d+)\]', source).group(1)), 'the table was not read whole'
    topics = {}
    for written, kind, publisher in table:
        name = written.strip('"') if written.startswith('"') else named[written]
        places = CAMERAS if publisher == '<camera>' else ['']
        for place in places if publisher else []:
            topics['/' + f'{place}/{name}'.strip('/')] = kind
    return topics


def topic_of(display):
    return display.get('Topic') or display.get('Description Topic')


@pytest.mark.parametrize('display', CONFIG['Displays'], ids=lambda display: display['Name'])
def test_display_shows_what_is_published(display):
    assert display['Class'] in SHOWS, 'a display of a kind this test does not know'
    kind = SHOWS[display['Class']]
    if kind is None:
        return
    topic = topic_of(display)
    assert published().get(topic['Value']) == kind
    assert (topic['Durability Policy'] == 'Transient Local') == (topic['Value'] in LATCHED)


def test_nothing_promised_is_missing():
    shown = {topic_of(display)['Value'] for display in CONFIG['Displays'] if topic_of(display)}
    assert shown == {'/robot_description', '/planned_path_markers', '/workspace_markers', '/top/image_raw',
                     '/wrist/image_raw', '/policy_node/geometry'}


def test_frames_shown_are_frames_of_the_robot():
    urdf = ElementTree.parse(ROOT / 'urdf' / 'rm75.urdf')
    links = {link.get('name') for link in urdf.findall('link')}
    tf = next(display for display in CONFIG['Displays'] if display['Class'].endswith('/TF'))
    frames = {name for name, value in tf['Frames'].items() if isinstance(value, dict)}
    assert frames <= links
    assert CONFIG['Global Options']['Fixed Frame'] in links

//! Tests of the times of messages: without stamps, and of several clocks.

use thinkvla::dataset::mcap::StampClock;

use super::{Import, PERIOD, START, at, require_scene, scene};

#[test]
fn topics_whose_stamps_are_0_are_taken_by_the_times_of_recording() {
    let import = Import::new();
    let unstamped = |is_unstamped: fn(&str) -> bool| {
        scene(move |topic, row| {
            let [stamp, log] = at(row);
            [if is_unstamped(topic) { 0 } else { stamp }, log]
        })
    };
    require_scene(&import.of(&unstamped(|_| true)).unwrap());
    require_scene(&import.of(&unstamped(|topic| topic.contains("camera"))).unwrap());
    let standing = scene(|_, row| [START, at(row)[1]]);
    require_scene(&import.of(&standing).unwrap());
    let nowhere = scene(|_, _| [0, START]);
    let error = import.refusal(&nowhere);
    assert!(error.contains("11 messages of the same time"), "{error}");
}

#[test]
fn topics_of_different_clocks_are_named_and_can_be_taken_by_the_times_of_recording() {
    let mut import = Import::new();
    // Joints in simulation time, and a camera whose driver sets no stamps.
    let mixed = scene(|topic, row| match topic {
        "/camera/top/image" => [0, at(row)[1]],
        _ => [(row as u64 + 1) * PERIOD, at(row)[1]],
    });
    let error = import.refusal(&mixed);
    let words = [
        "/camera/top/image has stamps of 0",
        "/joint_states has stamps",
        "before its times",
        "--clock log",
    ];
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
    import.options.clock = StampClock::Log;
    require_scene(&import.of(&mixed).unwrap());
    // All in simulation time, from its beginning.
    import.options.clock = StampClock::Header;
    require_scene(&import.of(&scene(|_, row| [row as u64 * PERIOD, at(row)[1]])).unwrap());
}

#[test]
fn a_clock_that_goes_back_is_named_with_its_topic_and_leaves_nothing() {
    let mut import = Import::new();
    // The simulation starts again in the middle: both passes have the same times, at least in their headers.
    let again = |topic: &str, row: usize| match topic {
        "/joint_states" => [START + (row % 6) as u64 * 3 * PERIOD, at(row)[1]],
        _ => at(row),
    };
    let error = import.refusal(&scene(again));
    assert!(
        error.contains("/joint_states: ") && error.contains("message 7 is 1.5 s before an earlier one"),
        "{error}"
    );
    assert!(!import.path("dataset").exists());
    import.options.clock = StampClock::Log;
    require_scene(&import.of(&scene(again)).unwrap());
    // Messages that overtake each other are put in order.
    import.options.clock = StampClock::Header;
    let mut swapped = scene(|_, row| at(row));
    swapped.swap(9, 12);
    require_scene(&import.of(&swapped).unwrap());
}

//! Keyboard of a terminal: decodes bytes to keys, and decides which keys count as held.

use std::collections::BTreeMap;

use super::input_device::{InputDevice, InputReading, Intent, Twist};
use super::mapping::{Command, Keyboard as Mapping, SignedAxis};
use crate::types::time::Time;

/// Minimum time for which a gripper key counts as held (s): long enough to take the lease and send the opening, while
/// nothing else moves.
const GRIPPER_HOLD_S: f64 = 0.5;

/// Time within which the same key is the terminal's repetition of one press (s): longer than terminals wait before the first.
const REPETITION_S: f64 = 0.7;

/// Key of a keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A character, as typed.
    Char(char),
    /// One of [`Key::NAMES`], by its index.
    Named(usize),
}

impl Key {
    /// Names of keys that are no characters.
    pub const NAMES: [&'static str; 10] = [
        "up", "down", "right", "left", "pageup", "pagedown", "space", "enter", "tab", "escape",
    ];

    /// Returns the key of this name in a mapping.
    pub fn named(name: &str) -> Option<Self> {
        if let Some(place) = Self::NAMES.iter().position(|known| *known == name) {
            return Some(Self::Named(place));
        }
        let mut characters = name.chars();
        match (characters.next(), characters.next()) {
            (Some(c), None) if !c.is_whitespace() && !c.is_control() => Some(Self::Char(c)),
            _ => None,
        }
    }

    /// Decodes bytes from a terminal. Whatever is neither a character nor a known sequence is left out.
    pub fn read(bytes: &[u8]) -> Vec<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut rest = text.as_ref();
        let mut keys = Vec::new();
        while let Some(first) = rest.chars().next() {
            let (key, length) = if first == '\u{1b}' {
                escaped(rest)
            } else {
                (single(first), first.len_utf8())
            };
            keys.extend(key);
            rest = rest.get(length..).unwrap_or_default();
        }
        keys
    }
}

fn single(c: char) -> Option<Key> {
    match c {
        ' ' => Key::named("space"),
        '\r' | '\n' => Key::named("enter"),
        '\t' => Key::named("tab"),
        c if c.is_control() || c == char::REPLACEMENT_CHARACTER => None,
        c => Some(Key::Char(c)),
    }
}

/// Decodes a key that is sent as an escape sequence; also returns the sequence's length (bytes).
fn escaped(text: &str) -> (Option<Key>, usize) {
    let Some(body) = text.strip_prefix("\u{1b}[").or_else(|| text.strip_prefix("\u{1b}O")) else {
        return (Key::named("escape"), 1);
    };
    let end = body
        .find(|c: char| ('@'..='~').contains(&c))
        .map_or(body.len(), |end| end + 1);
    let name = match body.get(..end).unwrap_or_default() {
        "A" => "up",
        "B" => "down",
        "C" => "right",
        "D" => "left",
        "5~" => "pageup",
        "6~" => "pagedown",
        _ => "",
    };
    (Key::named(name), 2 + end)
}

/// Keyboard as an input device. A key is its own deadman.
#[derive(Debug, Clone)]
pub struct KeyboardDevice {
    hold_s: f64,
    motion: BTreeMap<Key, SignedAxis>,
    commands: BTreeMap<Key, Command>,
    /// Directions of pressed keys, and the time until which each counts as held.
    pushed: Vec<(SignedAxis, Time)>,
    held_until: Option<Time>,
    asked: Vec<Command>,
    /// Last key of a command, and the time it was last received.
    pressed: Option<(Key, Time)>,
    last: Option<Time>,
}

impl KeyboardDevice {
    /// Creates a keyboard without pressed keys.
    pub fn new(mapping: &Mapping) -> Self {
        let keys = |name: &String| Key::named(name);
        Self {
            hold_s: mapping.hold_s,
            motion: mapping
                .motion
                .iter()
                .filter_map(|(name, push)| Some((keys(name)?, *push)))
                .collect(),
            commands: mapping
                .commands
                .iter()
                .filter_map(|(name, does)| Some((keys(name)?, does.clone())))
                .collect(),
            pushed: Vec::new(),
            held_until: None,
            asked: Vec::new(),
            pressed: None,
            last: None,
        }
    }

    /// Handles bytes from the terminal.
    pub fn typed(&mut self, bytes: &[u8], now: Time) {
        for key in Key::read(bytes) {
            self.last = Some(now);
            if let Some(push) = self.motion.get(&key).copied() {
                self.pushed.retain(|(other, _)| other.along != push.along);
                self.pushed.push((push, now.offset_secs(self.hold_s)));
                self.hold(now, self.hold_s);
                continue;
            }
            let Some(command) = self.commands.get(&key).cloned() else {
                continue;
            };
            let before = self.pressed.replace((key, now));
            let repeated = before.is_some_and(|(other, at)| other == key && now < at.offset_secs(REPETITION_S));
            match command {
                Command::LetGo => self.drop_all(),
                Command::Stop | Command::Faster | Command::Slower | Command::NextInstruction => {}
                // One press toggles the gripper or calls a service once, however long the key is held.
                _ if repeated => continue,
                Command::ToggleGripper | Command::OpenGripper | Command::CloseGripper => {
                    self.hold(now, self.hold_s.max(GRIPPER_HOLD_S));
                }
                _ => {}
            }
            self.asked.push(command);
        }
    }

    fn hold(&mut self, now: Time, seconds: f64) {
        let until = now.offset_secs(seconds);
        self.held_until = self.held_until.max(Some(until));
    }

    /// Releases all keys.
    pub fn drop_all(&mut self) {
        self.pushed.clear();
        self.held_until = None;
    }
}

impl InputDevice for KeyboardDevice {
    fn read(&mut self, now: Time) -> InputReading {
        self.pushed.retain(|(_, until)| *until > now);
        let held = self.held_until.is_some_and(|until| until > now);
        if !held {
            self.held_until = None;
        }
        let mut twist = Twist::default();
        for (push, _) in &self.pushed {
            let index = push.along.index();
            let target = if index < 3 {
                &mut twist.linear
            } else {
                &mut twist.angular
            };
            if let Some(value) = target.get_mut(index % 3) {
                *value = if push.backwards { -1.0 } else { 1.0 };
            }
        }
        InputReading {
            held,
            intent: Some(Intent::Twist(twist)),
            gripper: None,
            fault: None,
        }
    }

    fn commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.asked)
    }

    fn last_seen(&self) -> Option<Time> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::teleop::mapping::tests::shipped_keyboard;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    fn twist(reading: &InputReading) -> Twist {
        match reading.intent {
            Some(Intent::Twist(twist)) => twist,
            _ => panic!("no twist"),
        }
    }

    #[test]
    fn a_key_is_held_as_long_as_the_terminal_repeats_it() {
        let mut keyboard = KeyboardDevice::new(&shipped_keyboard());
        let hold = keyboard.hold_s;
        assert!(!keyboard.read(at(0.0)).held);
        for i in 0..20 {
            let now = f64::from(i) * 0.033;
            keyboard.typed(b"w", at(now));
            let reading = keyboard.read(at(now + 0.03));
            assert!(reading.held && twist(&reading).linear.x == 1.0);
        }
        let let_go = 19.0 * 0.033;
        assert!(keyboard.read(at(let_go + 0.9 * hold)).held);
        let reading = keyboard.read(at(let_go + 1.01 * hold));
        assert!(!reading.held && twist(&reading) == Twist::default());
    }

    #[test]
    fn the_opposite_key_takes_over_and_other_directions_add_up() {
        let mut keyboard = KeyboardDevice::new(&shipped_keyboard());
        keyboard.typed(b"wa", at(0.0));
        assert_eq!(
            twist(&keyboard.read(at(0.01))).linear,
            nalgebra::Vector3::new(1.0, 1.0, 0.0)
        );
        keyboard.typed(b"s", at(0.02));
        assert_eq!(
            twist(&keyboard.read(at(0.03))).linear,
            nalgebra::Vector3::new(-1.0, 1.0, 0.0)
        );
    }

    #[test]
    fn space_lets_go_at_once() {
        let mut keyboard = KeyboardDevice::new(&shipped_keyboard());
        keyboard.typed(b"w ", at(0.0));
        assert!(!keyboard.read(at(0.001)).held);
        assert_eq!(keyboard.commands(), [Command::LetGo]);
    }

    #[test]
    fn a_gripper_key_holds_the_arm_still_while_it_acts() {
        let mut keyboard = KeyboardDevice::new(&shipped_keyboard());
        keyboard.typed(b"g", at(0.0));
        let reading = keyboard.read(at(0.4));
        assert!(reading.held && twist(&reading) == Twist::default());
        assert_eq!(keyboard.commands(), [Command::ToggleGripper]);
    }

    #[test]
    fn a_held_command_key_is_one_press() {
        let mut keyboard = KeyboardDevice::new(&shipped_keyboard());
        let mut asked = Vec::new();
        // Half a second to the first repetition, then thirty a second, read every 10 ms as the node does.
        for now in [0.0].into_iter().chain((0..60).map(|i| 0.5 + f64::from(i) / 30.0)) {
            keyboard.typed(b"g", at(now));
            asked.extend(keyboard.commands());
        }
        assert_eq!(asked, [Command::ToggleGripper]);
        keyboard.typed(b"g", at(3.5));
        assert_eq!(keyboard.commands(), [Command::ToggleGripper]);
        // Letting go and changes of speed are never held back.
        let again = |keyboard: &mut KeyboardDevice, keys: &[u8]| {
            keyboard.typed(keys, at(4.0));
            keyboard.typed(keys, at(4.1));
            keyboard.commands().len()
        };
        assert_eq!(again(&mut keyboard, b" "), 2);
    }

    #[test]
    fn sequences_are_keys_and_unknown_ones_are_nothing() {
        let keys = Key::read(b"\x1b[A\x1bOD\x1b[5~\x1b[1;5C\x1b[3~ \r\xc3\xa4\x1b");
        let names = ["up", "left", "pageup", "space", "enter", "\u{e4}", "escape"];
        assert_eq!(keys, names.map(|name| Key::named(name).unwrap()));
    }

    proptest! {
        #[test]
        fn no_bytes_can_break_it(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut keyboard = KeyboardDevice::new(&shipped_keyboard());
            keyboard.typed(&bytes, at(0.0));
            let reading = keyboard.read(at(0.01));
            prop_assert!(twist(&reading).linear.amax() <= 1.0 && twist(&reading).angular.amax() <= 1.0);
            prop_assert!(!keyboard.read(at(10.0)).held);
        }
    }
}

//! Meanings of the controller's error codes.

/// Meaning of a controller error from Realman's manual; `None` for a code that it does not list.
pub fn meaning(code: u32) -> Option<&'static str> {
    Some(match code {
        0x1001 => "communication with a joint lost",
        0x1002 => "target beyond a joint limit",
        0x1003 => "target out of reach or singular",
        0x1004 => "communication with the real-time kernel lost",
        0x1005 => "joint bus",
        0x1006 => "planner kernel",
        0x1007 => "joint too fast",
        0x1008 => "end board",
        0x1009 => "too fast",
        0x100A => "acceleration too high",
        0x100B => "joint brake",
        0x100C => "dragged too fast",
        0x100D => "collision",
        0x100E => "no such work frame",
        0x100F => "no such tool frame",
        0x1010 => "joint disabled",
        0x1011 => "arc planning",
        0x1012 => "self collision",
        0x1013 => "electronic fence",
        0x1014 => "soft joint limit",
        0x2001 => "gripper",
        0x2002 => "hand",
        0x2003 => "six-axis force sensor",
        0x2004 => "one-axis force sensor",
        0x2005 => "output current of the tool",
        0x5003 => "controller too hot",
        0x5005 => "controller over-current",
        0x5006 => "controller under-current",
        0x5007 => "controller over-voltage",
        0x5008 => "controller under-voltage",
        0x5009 => "real-time kernel",
        _ => return None,
    })
}

/// Formats a code with its meaning.
pub fn describe(code: u32) -> String {
    format!("0x{code:04X} ({})", meaning(code).unwrap_or("not in the manual"))
}

/// Formats several codes with their meanings, separated by commas.
pub fn describe_all(codes: impl IntoIterator<Item = u32>) -> String {
    codes.into_iter().map(describe).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_shown_with_their_meaning_as_the_manual_writes_them() {
        assert_eq!(
            describe_all([0x1003, 0x100D]),
            "0x1003 (target out of reach or singular), 0x100D (collision)"
        );
        assert_eq!(describe(0x7777), "0x7777 (not in the manual)");
        assert_eq!((0..0x6000).filter(|code| meaning(*code).is_some()).count(), 31);
    }
}

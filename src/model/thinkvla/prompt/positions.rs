//! Multimodal positions of a prompt's tokens.

/// Returns time, row and column of each token, as in the Qwen3-VL reference. Text counts up equally in all three. The
/// tokens of an image share the time of its first token and count rows and columns from there; text after it continues
/// from its longer side.
pub(in crate::model) fn positions(ids: &[i64], image_id: i64, images: &[(i64, i64)]) -> [Vec<i64>; 3] {
    let mut positions: [Vec<i64>; 3] = Default::default();
    let mut images = images.iter();
    let mut next = 0;
    let mut at = 0;
    while let Some(&id) = ids.get(at) {
        let (time, rows, columns) = match images.as_slice().first() {
            Some(&(rows, columns)) if id == image_id => {
                images.next();
                (next, rows, columns)
            }
            _ => (next, 1, 1),
        };
        for row in 0..rows {
            for column in 0..columns {
                for (axis, value) in positions.iter_mut().zip([time, time + row, time + column]) {
                    axis.push(value);
                }
            }
        }
        next += rows.max(columns);
        at += (rows * columns) as usize;
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout of two 256 x 256 views, by hand: text 0-2, image delimiters at 3, 12, 13 and 22.
    #[test]
    fn images_spread_and_text_goes_on_behind_them() {
        let image = 9;
        let mut ids = vec![1, 1, 1];
        for _ in 0..2 {
            ids.push(2);
            ids.extend([image; 64]);
            ids.push(3);
        }
        ids.extend([1, 1]);
        let [time, row, column] = positions(&ids, image, &[(8, 8), (8, 8)]);
        assert_eq!(time[..5], [0, 1, 2, 3, 4]);
        assert!(time[4..68].iter().all(|t| *t == 4));
        assert_eq!((row[4], row[11], row[12], row[67]), (4, 4, 5, 11));
        assert_eq!((column[4], column[11], column[12], column[67]), (4, 11, 4, 11));
        assert_eq!((time[68], time[69]), (12, 13));
        assert!(time[70..134].iter().all(|t| *t == 14));
        assert_eq!((row[133], column[133]), (21, 21));
        assert_eq!(time[134..], [22, 23, 24]);
        assert_eq!([&time[134..], &time[134..]], [&row[134..], &column[134..]]);
    }

    #[test]
    fn a_wide_image_pushes_the_text_by_its_width() {
        let [time, row, column] = positions(&[1, 9, 9, 9, 1], 9, &[(1, 3)]);
        assert_eq!(
            (time, row, column),
            (vec![0, 1, 1, 1, 4], vec![0, 1, 1, 1, 4], vec![0, 1, 2, 3, 4])
        );
    }
}

//! Questions and answers for training.

use std::path::Path;

use serde_json::{Value, json};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::frame::{ImageMode, Picture};

/// Section of a configuration with the files below.
pub const SECTION: &str = "
text:
  sources: [{path: HERE/questions/qwen.json, weight: 2}, {path: HERE/questions/spatial.jsonl, images: HERE/questions}]
  batch: 3
  held_out_share: 0.2
  held_out_batches: 3
";

/// Number of images.
const PICTURES: usize = 6;

/// Writes a file in each of the two formats, and their images.
pub fn write(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for number in 0..PICTURES {
        let (width, height) = (40 + 4 * number as u32, 36);
        let bytes = (0..width * height).flat_map(|at| [(at % 251) as u8, 40 * number as u8, 200]);
        let picture = RgbImage::from_raw(width, height, bytes.collect()).unwrap();
        let mode = if number % 2 == 0 {
            ImageMode::Png
        } else {
            ImageMode::Jpeg(90)
        };
        let encoded = Picture::encode(&picture, mode).unwrap();
        std::fs::write(folder.join(format!("{number}.jpg")), encoded.bytes).unwrap();
    }
    let name = |number: usize| format!("{}.jpg", number % PICTURES);
    let qwen: Vec<Value> = (0..PICTURES)
        .map(|number| {
            json!({"id": number, "image": [name(number), name(number + 1)], "conversations": [
                {"from": "human", "value": "<image> and <image>\nwhich is bluer?"},
                {"from": "gpt", "value": format!("picture {number}")},
                {"from": "human", "value": "are you sure?"},
                {"from": "gpt", "value": "yes"}]})
        })
        .chain([json!({"conversations": [{"from": "human", "value": "who?"}, {"from": "gpt", "value": "the robot"}]})])
        .collect();
    std::fs::write(folder.join("qwen.json"), Value::Array(qwen).to_string()).unwrap();
    let spatial = (0..PICTURES).map(|number| {
        json!({"question": "which is higher?", "A": "cup", "B": "can", "C": null, "D": null, "answer": "B",
            "answer_cot": format!("the can is at {number}, so B"), "image_filename": name(number),
            "category": "height_higher", "conversations": []})
        .to_string()
    });
    std::fs::write(folder.join("spatial.jsonl"), spatial.collect::<Vec<_>>().join("\n")).unwrap();
}

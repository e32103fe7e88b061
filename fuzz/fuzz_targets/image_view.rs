//! Fuzzes the fields of raw images: any values are refused, or become RGB of the announced size, which can be resized.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use thinkvla::camera::freeze::content_hash;
use thinkvla::camera::image_view::{Encoding, ImageFields, ImageView};
use thinkvla::camera::resize::Resizer;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::{Filter, Resize};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    width: u32,
    height: u32,
    encoding: u8,
    name: &'a str,
    step: u32,
    to: [u8; 2],
    area: bool,
    data: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let Input {
        width,
        height,
        step,
        data,
        to,
        ..
    } = input;
    // Half of the inputs have small sides; otherwise nearly all would be refused for their length.
    let small = |side: u32| if input.encoding & 0x80 == 0 { side % 48 } else { side };
    let encoding = Encoding::names()
        .nth(usize::from(input.encoding & 15))
        .unwrap_or(input.name);
    let (width, height, step) = (
        small(width),
        small(height),
        if input.encoding & 0x80 == 0 { step % 200 } else { step },
    );
    let Ok(view) = ImageView::new(ImageFields {
        width,
        height,
        encoding,
        step,
        data,
    }) else {
        return;
    };
    let mut rgb = RgbImage::default();
    view.to_rgb(&mut rgb);
    assert_eq!((rgb.width(), rgb.height()), (width, height));
    content_hash(&view);
    let filter = if input.area { Filter::Area } else { Filter::Bicubic };
    let rule = Resize {
        width: to[0].into(),
        height: to[1].into(),
        filter,
    };
    let mut out = RgbImage::default();
    if width <= 512 && height <= 512 && Resizer::default().resize(&rgb, rule, &mut out).is_ok() {
        assert_eq!(out.data().len(), usize::from(to[0]) * usize::from(to[1]) * 3);
    }
});

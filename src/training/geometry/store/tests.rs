use std::sync::Arc;

use super::*;
use crate::camera::rgb::RgbImage;
use crate::model::error::ModelError;
use crate::training::geometry::rays::RaySource;

const WIDTH: i64 = 6;

/// Source whose values depend on the views.
#[derive(Debug)]
struct Drawn {
    identity: &'static str,
    factor: f64,
}

impl TargetSource for Drawn {
    fn identity(&self) -> &str {
        self.identity
    }

    fn width(&self) -> i64 {
        WIDTH
    }

    fn target(&self, scene: &SampleViews) -> Result<Tensor, ModelError> {
        let shade = scene
            .views
            .iter()
            .flat_map(RgbImage::data)
            .map(|v| i64::from(*v))
            .sum::<i64>();
        let rows = scene.views.len() as i64 * scene.grid.iter().product::<i64>();
        let values = Tensor::arange(rows * WIDTH, (Kind::Float, Device::Cpu)) * 0.1 + shade as f64 / 7.0;
        Ok((values * self.factor).reshape([rows, WIDTH]))
    }
}

fn targets(cache: &Path) -> GeometryTargets {
    let source = Drawn {
        identity: "drawn",
        factor: 1.0,
    };
    GeometryTargets::open(cache, Box::new(source)).unwrap()
}

fn views(shade: u8) -> [RgbImage; 2] {
    [shade, 200].map(|shade| RgbImage::from_raw(4, 2, vec![shade; 24]).unwrap())
}

fn scene(views: &[RgbImage]) -> SampleViews<'_> {
    SampleViews { views, grid: [2, 3] }
}

/// Lists all targets under a directory.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|of| of == "safetensors"))
        .collect();
    files.sort();
    files
}

#[test]
fn a_target_is_made_once_and_read_as_it_was_made() {
    let cache = tempfile::tempdir().unwrap();
    let (first, second) = (targets(cache.path()), targets(cache.path()));
    let [one, other] = [views(3), views(4)];
    let made = first.get(&scene(&one)).unwrap();
    assert_eq!((made.size(), made.kind()), (vec![12, WIDTH], Kind::BFloat16));
    assert!(made.equal(&first.get(&scene(&one)).unwrap()));
    assert!(made.equal(&second.get(&scene(&one)).unwrap()));
    assert_eq!((first.made(), second.made()), (1, 0));
    assert!(!made.equal(&second.get(&scene(&other)).unwrap()));
    assert_eq!((first.made(), second.made()), (1, 1));
}

#[test]
fn what_changes_the_target_changes_its_name() {
    let cache = tempfile::tempdir().unwrap();
    let of = targets(cache.path());
    let [a, b] = views(3);
    let wide = RgbImage::from_raw(2, 4, a.data().to_vec()).unwrap();
    let scenes: [(&[RgbImage], [i64; 2]); 5] = [
        (&[a.clone(), b.clone()], [2, 3]),
        (&[b.clone(), a.clone()], [2, 3]),
        (&[a.clone(), b.clone()], [3, 2]),
        (&[wide, b], [2, 3]),
        (&[a], [2, 3]),
    ];
    for (views, grid) in scenes {
        let _ = of.get(&SampleViews { views, grid }).unwrap();
    }
    assert_eq!(of.made(), 5);
    let other = Drawn {
        identity: "another",
        factor: 2.0,
    };
    let other = GeometryTargets::open(cache.path(), Box::new(other)).unwrap();
    let _ = other.get(&scene(&views(3))).unwrap();
    assert_eq!(other.made(), 1);
    assert_eq!(files(cache.path()).len(), 6);
}

#[test]
fn a_damaged_target_is_made_again() {
    let cache = tempfile::tempdir().unwrap();
    let views = views(3);
    let whole = targets(cache.path()).get(&scene(&views)).unwrap();
    let file = files(cache.path()).remove(0);
    let bytes = fs::read(&file).unwrap();
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cut = bytes[..bytes.len() - 10].to_vec();
    for damaged in [flipped, cut, Vec::new(), b"not safetensors at all".to_vec()] {
        fs::write(&file, damaged).unwrap();
        let again = targets(cache.path());
        assert!(whole.equal(&again.get(&scene(&views)).unwrap()));
        assert_eq!(again.made(), 1);
        let mended = targets(cache.path());
        assert!(whole.equal(&mended.get(&scene(&views)).unwrap()));
        assert_eq!(mended.made(), 0);
    }
}

#[test]
fn threads_that_want_the_same_target_make_it_once() {
    let cache = tempfile::tempdir().unwrap();
    // Like two processes: each has its own source, and they share nothing but the files.
    let both = [targets(cache.path()), targets(cache.path())].map(Arc::new);
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let of = Arc::clone(&both[number % 2]);
            std::thread::spawn(move || {
                for shade in 0..10 {
                    let _ = of.get(&scene(&views(shade))).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(both[0].made() + both[1].made(), 10);
}

#[test]
fn features_that_are_not_numbers_are_named_and_not_kept() {
    let cache = tempfile::tempdir().unwrap();
    let source = Drawn {
        identity: "broken",
        factor: f64::NAN,
    };
    let targets = GeometryTargets::open(cache.path(), Box::new(source)).unwrap();
    let error = targets.get(&scene(&views(1))).unwrap_err().to_string();
    assert!(error.contains("broken: expected finite features"), "{error}");
    assert_eq!(files(cache.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_disk_that_refuses_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let targets = targets(cache.path());
    let views = views(1);
    let _ = targets.get(&scene(&views)).unwrap();
    let file = files(cache.path()).remove(0);
    fs::remove_file(&file).unwrap();
    // A directory stands where the file is to be written.
    fs::create_dir(file.with_file_name(".open")).unwrap();
    let error = targets.get(&scene(&views)).unwrap_err().to_string();
    assert!(
        error.contains("cannot write") && error.contains("geometry.cache"),
        "{error}"
    );
}

#[test]
fn what_was_put_is_read_and_what_was_not_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let open = || GeometryTargets::open(folder.path(), Box::new(RaySource)).unwrap();
    let (put, other) = (views(3), views(4));
    let target = Tensor::arange(12 * 8, (Kind::Float, Device::Cpu)).reshape([12, 8]) / 8.0;
    open().put(&scene(&put), &target).unwrap();
    let read = open().get(&scene(&put)).unwrap();
    assert!(read.equal(&target.to_kind(Kind::Half)));
    let missed = open().get(&scene(&other)).unwrap_err().to_string();
    assert!(
        missed.contains("found none") && missed.contains("--geometry"),
        "{missed}"
    );
    let narrow = open()
        .put(&scene(&other), &target.narrow(1, 0, 7))
        .unwrap_err()
        .to_string();
    assert!(
        narrow.contains("expected a target of [12, 8], found [12, 7]"),
        "{narrow}"
    );
}

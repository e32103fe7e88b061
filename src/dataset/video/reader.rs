//! Reads any frame of an mp4 file, by index or by time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::colour::{ColourEncoding, Planes, to_rgb};
use super::decoder::Decoder;
use super::demux::{Codec, Movie, VideoSample};
use super::error::VideoError;
use crate::camera::rgb::RgbImage;
use crate::files;

/// Reader of frames. Reading forward decodes each frame once; a jump begins at the key frame before, which in H.264
/// has to be an IDR picture.
pub struct VideoReader<R> {
    file: R,
    movie: Movie,
    decoder: Option<Decoder>,
    /// Next sample to decode, in the order of decoding.
    next_sample: usize,
    /// Next frame that the decoder returns.
    next_frame: usize,
    /// Frame that `picture` shows.
    shown: Option<usize>,
    picture: RgbImage,
    bytes: Vec<u8>,
}

impl VideoReader<File> {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or has an unsupported format.
    pub fn open(path: &Path) -> Result<Self, VideoError> {
        Self::new(files::open(path).map_err(VideoError::file("open", path))?)
    }
}

impl<R: Read + Seek> VideoReader<R> {
    /// Reads the index of `file`.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or has an unsupported format.
    pub fn new(mut file: R) -> Result<Self, VideoError> {
        let length = file.seek(SeekFrom::End(0))?;
        let movie = Movie::read(&mut file, length)?;
        Ok(Self {
            file,
            movie,
            decoder: None,
            next_sample: 0,
            next_frame: 0,
            shown: None,
            picture: RgbImage::default(),
            bytes: Vec::new(),
        })
    }

    /// Returns the number of frames.
    pub fn len(&self) -> usize {
        self.movie.order.len()
    }

    /// Never true: a file without frames is refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the average frame rate (Hz).
    pub fn fps(&self) -> f64 {
        self.movie.fps
    }

    /// Returns width and height (px).
    pub fn size(&self) -> (u32, u32) {
        (self.movie.width, self.movie.height)
    }

    /// Returns the name of the codec, as LeRobot writes it.
    pub fn codec(&self) -> &'static str {
        match self.movie.codec {
            Codec::H264 { .. } => "h264",
            Codec::Av1 => "av1",
        }
    }

    /// Returns the index of the frame whose time is nearest to `seconds`; frames need not be evenly spaced.
    ///
    /// # Errors
    /// When `seconds` is outside the video.
    pub fn index_at(&self, seconds: f64) -> Result<usize, VideoError> {
        let time = |index: usize| self.movie.time_of(index).unwrap_or(f64::INFINITY);
        let half = 0.5 / self.movie.fps;
        let (first, last) = (time(0), time(self.len().saturating_sub(1)));
        if !(first - half..=last + half).contains(&seconds) {
            return Err(VideoError::Request(format!(
                "second {seconds}: expected at least {first:.3}, where the video begins, and less than {:.3}, where it \
                 ends",
                last + 2.0 * half
            )));
        }
        let after = self
            .movie
            .order
            .partition_point(|sample| self.movie.time_of_sample(*sample) < seconds);
        let before = after.saturating_sub(1);
        let nearer = (time(after) - seconds).abs() < (time(before) - seconds).abs();
        Ok(if nearer { after } else { before })
    }

    /// Returns the time at which frame `index` is shown (s), as ffmpeg gives it: that of the first need not be 0.
    pub fn time_of(&self, index: usize) -> Option<f64> {
        self.movie.time_of(index)
    }

    /// Returns the unit of the times of frames (s).
    pub fn tick_s(&self) -> f64 {
        self.movie.tick_s()
    }

    /// Returns the frame nearest to `seconds`.
    ///
    /// # Errors
    /// When `seconds` is outside the video or the frame cannot be decoded.
    pub fn frame_at(&mut self, seconds: f64) -> Result<&RgbImage, VideoError> {
        let index = self.index_at(seconds)?;
        self.frame(index)
    }

    /// Returns frame `index`.
    ///
    /// # Errors
    /// When there is no such frame or it cannot be decoded; other frames can still be read.
    pub fn frame(&mut self, index: usize) -> Result<&RgbImage, VideoError> {
        if index >= self.len() {
            let problem = format!("frame {index}: expected less than {}, the number of frames", self.len());
            return Err(VideoError::Request(problem));
        }
        if self.shown != Some(index) {
            self.shown = None;
            let Movie { order, samples, .. } = &self.movie;
            let sample = order.get(index).and_then(|sample| samples.get(*sample as usize));
            let in_file = sample.map_or(index, |sample| sample.shown as usize);
            if let Err(e) = self.decode(in_file) {
                self.decoder = None;
                return Err(match e {
                    VideoError::Malformed(problem) => VideoError::Codec { frame: index, problem },
                    other => other,
                });
            }
            self.shown = Some(index);
        }
        Ok(&self.picture)
    }

    /// Decodes frame `index`, counted with those that are not shown.
    fn decode(&mut self, index: usize) -> Result<(), VideoError> {
        let (entry, forward) = self.entry_for(index)?;
        let mut decoder = match self.decoder.take() {
            Some(decoder) if forward => decoder,
            found => {
                self.next_sample = entry;
                self.next_frame = self.movie.samples.get(entry).map_or(0, |sample| sample.shown as usize);
                match found {
                    Some(mut decoder) => {
                        decoder.restart()?;
                        decoder
                    }
                    None => Decoder::new(&self.movie)?,
                }
            }
        };
        let mut target = Target {
            index,
            next: self.next_frame,
            found: false,
            picture: &mut self.picture,
        };
        while !target.found {
            let mut sink = |planes: &Planes<'_>, colour| target.take(planes, colour);
            let Some(sample) = self.movie.samples.get(self.next_sample) else {
                decoder.finish(&mut sink)?;
                break;
            };
            read_sample(&mut self.file, sample, &mut self.bytes)?;
            decoder.feed(&self.bytes, &mut sink)?;
            self.next_sample += 1;
        }
        self.next_frame = target.next;
        if !target.found {
            return Err(VideoError::malformed(
                "the decoder gave fewer pictures than there are frames",
            ));
        }
        self.decoder = Some(decoder);
        Ok(())
    }

    /// Returns the last sample at which decoding of frame `index` can begin, and whether the decoder need only go on.
    fn entry_for(&mut self, index: usize) -> Result<(usize, bool), VideoError> {
        loop {
            let entry = self.entry_before(index);
            let forward = index >= self.next_frame && entry <= self.next_sample && self.next_sample > 0;
            if entry == 0 || (forward && self.decoder.is_some()) {
                return Ok((entry, forward));
            }
            let Some(sample) = self.movie.samples.get_mut(entry) else {
                return Ok((entry, forward));
            };
            read_sample(&mut self.file, sample, &mut self.bytes)?;
            if self.movie.codec.begins_anew(&self.bytes) {
                return Ok((entry, forward));
            }
            // Files also list pictures as key frames that refer to others when decoding begins there (open GOP).
            sample.entry = false;
        }
    }

    /// Returns the last sample before frame `index` that is marked as one where decoding can begin.
    fn entry_before(&self, index: usize) -> usize {
        let before = self.movie.samples.get(..=index).unwrap_or(&self.movie.samples);
        before.iter().rposition(|sample| sample.entry).unwrap_or(0)
    }
}

/// Counts decoded images and keeps the one that is wanted.
struct Target<'a> {
    index: usize,
    next: usize,
    found: bool,
    picture: &'a mut RgbImage,
}

impl Target<'_> {
    fn take(&mut self, planes: &Planes<'_>, colour: ColourEncoding) -> Result<(), VideoError> {
        let wanted = self.next == self.index;
        self.next += 1;
        self.found |= wanted;
        if wanted {
            to_rgb(planes, colour, self.picture)
        } else {
            Ok(())
        }
    }
}

fn read_sample(file: &mut (impl Read + Seek), sample: &VideoSample, bytes: &mut Vec<u8>) -> Result<(), VideoError> {
    bytes.resize(sample.size as usize, 0);
    file.seek(SeekFrom::Start(sample.offset))?;
    Ok(file.read_exact(bytes)?)
}

//! Writer of weights in the format of `torch.save`: a zip archive of a pickle and the values.

#![allow(dead_code)]

/// A tensor to be saved.
#[derive(Clone)]
pub struct Saved {
    pub name: String,
    pub storage: &'static str,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// A pickle under construction.
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn code(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    pub fn global(&mut self, module: &str, name: &str) -> &mut Self {
        self.code(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.code(b"X");
        self.code(&(text.len() as u32).to_le_bytes()).code(text.as_bytes())
    }

    pub fn number(&mut self, number: usize) -> &mut Self {
        match number {
            0..=0xff => self.code(&[b'K', number as u8]),
            0x100..=0xffff => self.code(b"M").code(&(number as u16).to_le_bytes()),
            _ => self.code(&[0x8a, 8]).code(&(number as i64).to_le_bytes()),
        }
    }

    pub fn numbers(&mut self, numbers: &[usize]) -> &mut Self {
        self.code(b"(");
        for number in numbers {
            self.number(*number);
        }
        self.code(b"t")
    }

    pub fn empty_dict(&mut self) -> &mut Self {
        self.global("collections", "OrderedDict").code(b")R")
    }

    pub fn tensor(&mut self, (class, key, values): (&str, &str, usize), (shape, strides): (&[usize], &[usize])) {
        self.global("torch._utils", "_rebuild_tensor_v2").code(b"((");
        self.text("storage").global("torch", class).text(key).text("cpu");
        self.number(values).code(b"tQ").number(0);
        self.numbers(shape).numbers(strides).code(&[0x89]);
        self.empty_dict().code(b"tR");
    }
}

pub fn strides_of(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|at| shape[at..].iter().product()).collect()
}

/// Pickle of a state dict, followed by the versions of its modules as `state_dict()` gives them.
pub fn index(tensors: &[Saved]) -> Vec<u8> {
    let mut pickle = Pickle::new();
    pickle.empty_dict().code(b"q\x00(");
    for (tensor, key) in tensors.iter().zip(0..) {
        let values = tensor.shape.iter().product();
        pickle.text(&tensor.name);
        pickle.tensor(
            (tensor.storage, &format!("{key}"), values),
            (&tensor.shape, &strides_of(&tensor.shape)),
        );
    }
    pickle.code(b"u}").text("_metadata").empty_dict();
    pickle.text("").code(b"}").text("version").number(1).code(b"sssb.");
    pickle.0
}

/// A zip archive of stored files, each beginning at a multiple of 64 bytes.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut list) = (Vec::new(), Vec::new());
    let two = |number: usize| (number as u16).to_le_bytes();
    let four = |number: usize| (number as u32).to_le_bytes();
    for (name, bytes) in files {
        let at = out.len();
        let padding = (64 - (at + 30 + name.len() + 4) % 64) % 64;
        let sizes = [four(0), four(bytes.len()), four(bytes.len())].concat();
        out.extend(b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0");
        out.extend([&sizes[..], &two(name.len()), &two(padding + 4), name.as_bytes()].concat());
        out.extend([&b"FB"[..], &two(padding), &vec![b'Z'; padding], bytes].concat());
        list.extend(b"PK\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0");
        list.extend([&sizes[..], &two(name.len()), &[0; 12], &four(at), name.as_bytes()].concat());
    }
    let start = out.len();
    out.extend(&list);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(
        [
            &two(files.len())[..],
            &two(files.len()),
            &four(list.len()),
            &four(start),
            &[0; 2],
        ]
        .concat(),
    );
    out
}

/// An archive with this pickle and these values.
pub fn archive(index: &[u8], values: &[&[u8]]) -> Vec<u8> {
    let names: Vec<_> = (0..values.len()).map(|key| format!("archive/data/{key}")).collect();
    let mut files = vec![("archive/data.pkl", index), ("archive/byteorder", &b"little"[..])];
    files.extend(names.iter().map(String::as_str).zip(values.iter().copied()));
    zip(&files)
}

pub fn save(tensors: &[Saved]) -> Vec<u8> {
    let values: Vec<_> = tensors.iter().map(|tensor| &tensor.bytes[..]).collect();
    archive(&index(tensors), &values)
}

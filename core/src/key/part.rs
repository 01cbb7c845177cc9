//! The Rust values that can be part of a key, and their canonical text.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::KeyEncoder;

/// A value that can be part of a fragment's key.
///
/// | Rust | canonical text |
/// |---|---|
/// | strings, `char` | themselves |
/// | integers | decimal |
/// | floats | the integer they equal, else the shortest decimal; `-0.0` is `0` |
/// | `bool` | `true`, `false` |
/// | `Option` | the value, or a none that equals no text |
/// | slices, arrays, `Vec` | a list, which differs from its items side by side |
/// | NaN, infinities | a part that equals no template value |
///
/// The same table holds for the values of MiniJinja and Tera, so Rust code can delete what a
/// template stored without knowing the template's types.
pub trait KeyPart {
    /// Writes this value as exactly one part.
    fn encode(&self, key: &mut KeyEncoder<'_>);
}

macro_rules! text_parts {
    ($($type:ty),*) => {$(
        impl KeyPart for $type {
            fn encode(&self, key: &mut KeyEncoder<'_>) {
                key.str(self);
            }
        }
    )*};
}

text_parts!(str, String, Cow<'_, str>);

macro_rules! int_parts {
    ($($type:ty),*) => {$(
        impl KeyPart for $type {
            fn encode(&self, key: &mut KeyEncoder<'_>) {
                key.int(i128::from(*self));
            }
        }
    )*};
}

int_parts!(i8, i16, i32, i64, i128, u8, u16, u32, u64);

impl KeyPart for u128 {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        key.uint(*self);
    }
}

impl KeyPart for usize {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        key.uint(*self as u128);
    }
}

impl KeyPart for isize {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        key.int(*self as i128);
    }
}

impl KeyPart for f32 {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        key.float(f64::from(*self));
    }
}

impl KeyPart for f64 {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        key.float(*self);
    }
}

impl KeyPart for bool {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        key.bool(*self);
    }
}

impl KeyPart for char {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        key.str(self.encode_utf8(&mut [0; 4]));
    }
}

impl<P: KeyPart> KeyPart for Option<P> {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        match self {
            Some(part) => part.encode(key),
            None => key.none(),
        }
    }
}

impl<P: KeyPart> KeyPart for [P] {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        key.list(self.len());
        for part in self {
            part.encode(key);
        }
    }
}

impl<P: KeyPart, const N: usize> KeyPart for [P; N] {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        self.as_slice().encode(key);
    }
}

impl<P: KeyPart> KeyPart for Vec<P> {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        self.as_slice().encode(key);
    }
}

macro_rules! pointer_parts {
    ($($type:ty),*) => {$(
        impl<P: KeyPart + ?Sized> KeyPart for $type {
            fn encode(&self, key: &mut KeyEncoder<'_>) {
                (**self).encode(key);
            }
        }
    )*};
}

pointer_parts!(&P, Box<P>, Arc<P>, Rc<P>);

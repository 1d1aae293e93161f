//! Arrays of numbers as bytes in snapshots: a series has some thousands of them, and a list of
//! numbers would cost two to five times the space and the time.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// A number with a fixed little-endian form.
pub(in crate::detect) trait Number: Copy + Default {
    /// Bytes of one.
    const SIZE: usize;
    /// Appends its bytes.
    fn write(self, to: &mut Vec<u8>);
    /// Reads one from exactly [`Self::SIZE`] bytes.
    fn read(from: &[u8]) -> Self;
}

macro_rules! number {
    ($($t:ty),*) => {$(
        impl Number for $t {
            const SIZE: usize = size_of::<$t>();
            fn write(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
            fn read(from: &[u8]) -> Self {
                from.try_into().map_or(Self::default(), Self::from_le_bytes)
            }
        }
    )*};
}

number!(u8, i16, u16, u32, f32, f64);

/// Writes an array as bytes.
pub(in crate::detect) fn serialize<S: Serializer, T: Number, const N: usize>(
    array: &[T; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::with_capacity(N * T::SIZE);
    for x in array {
        x.write(&mut bytes);
    }
    serializer.serialize_bytes(&bytes)
}

/// Reads an array of exactly this length.
pub(in crate::detect) fn deserialize<'de, D: Deserializer<'de>, T: Number, const N: usize>(
    deserializer: D,
) -> Result<[T; N], D::Error> {
    let bytes = deserializer.deserialize_bytes(Bytes)?;
    if bytes.len() != N * T::SIZE {
        return Err(D::Error::invalid_length(bytes.len(), &"another number of bytes"));
    }
    let mut array = [T::default(); N];
    for (x, from) in array.iter_mut().zip(bytes.chunks_exact(T::SIZE)) {
        *x = T::read(from);
    }
    Ok(array)
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
        Ok(bytes)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

/// Arrays of arrays of bytes, row after row.
pub(in crate::detect) mod rows {
    use serde::de::Error;
    use serde::{Deserializer, Serializer};

    use super::Bytes;

    /// Writes the rows as bytes.
    pub(in crate::detect) fn serialize<S: Serializer, const N: usize, const M: usize>(
        rows: &[[u8; N]; M],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(rows.as_flattened())
    }

    /// Reads exactly as many rows of exactly this length.
    pub(in crate::detect) fn deserialize<
        'de,
        D: Deserializer<'de>,
        const N: usize,
        const M: usize,
    >(
        deserializer: D,
    ) -> Result<[[u8; N]; M], D::Error> {
        let bytes = deserializer.deserialize_bytes(Bytes)?;
        if bytes.len() != N * M {
            return Err(D::Error::invalid_length(bytes.len(), &"another number of bytes"));
        }
        let mut rows = [[0; N]; M];
        rows.as_flattened_mut().copy_from_slice(&bytes);
        Ok(rows)
    }
}

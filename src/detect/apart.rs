//! A part of the snapshot that starts anew, and says so, when this program can't read it, without
//! harm to the rest.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// State that is packed by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Apart<T> {
    part: T,
    lost: bool,
}

impl<T> Apart<T> {
    /// Whether it was in the snapshot in a form that can't be read, so that it started anew.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }
}

/// For parts of which each series has one: as [`Apart`], without room for whether it was lost.
pub(super) mod anew {
    use super::{Apart, Deserialize, DeserializeOwned, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer, T: Serialize>(
        part: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes = rmp_serde::to_vec(part).map_err(serde::ser::Error::custom)?;
        to.serialize_bytes(&bytes)
    }

    pub(in super::super) fn deserialize<
        'de,
        D: Deserializer<'de>,
        T: Default + DeserializeOwned,
    >(
        from: D,
    ) -> Result<T, D::Error> {
        Apart::deserialize(from).map(|apart| apart.part)
    }
}

/// The place of something that an older program wrote, in a form where places count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Former;

impl Serialize for Former {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(0)
    }
}

impl<'de> Deserialize<'de> for Former {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(from).map(|_| Self)
    }
}

impl<T> Deref for Apart<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.part
    }
}

impl<T> DerefMut for Apart<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.part
    }
}

impl<T: Serialize> Serialize for Apart<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        anew::serialize(&self.part, to)
    }
}

impl<'de, T: Default + DeserializeOwned> Deserialize<'de> for Apart<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Any: an older form of the part may be of any kind.
        from.deserialize_any(Packed(PhantomData))
    }
}

struct Packed<T>(PhantomData<T>);

impl<T: Default> Packed<T> {
    fn lost() -> Apart<T> {
        Apart { part: T::default(), lost: true }
    }
}

impl<'de, T: Default + DeserializeOwned> Visitor<'de> for Packed<T> {
    type Value = Apart<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a packed part")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Apart<T>, E> {
        let read = rmp_serde::from_slice(bytes).ok();
        Ok(read.map_or_else(Self::lost, |part| Apart { part, lost: false }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Apart<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::lost())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Apart<T>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::lost())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Old {
        before: u8,
        part: (Option<u32>, Vec<String>),
        after: u8,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    struct New {
        before: u8,
        part: Apart<Vec<u64>>,
        after: u8,
    }

    #[test]
    fn an_unreadable_part_starts_anew_and_the_rest_is_kept() {
        let old = Old { before: 1, part: (Some(7), vec!["a".into()]), after: 2 };
        let bytes = rmp_serde::to_vec(&old).expect("packs");
        let mut new: New = rmp_serde::from_slice(&bytes).expect("reads");
        assert!(new.part.is_lost() && new.part.is_empty());
        assert_eq!((new.before, new.after), (1, 2));
        new.part.push(5);
        let bytes = rmp_serde::to_vec(&new).expect("packs");
        let again: New = rmp_serde::from_slice(&bytes).expect("reads");
        assert!(!again.part.is_lost());
        assert_eq!(*again.part, [5]);
    }
}

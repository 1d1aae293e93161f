//! The tree as serde reads it. An error knows the way to the part that it is about.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer as _, Visitor};
use serde::forward_to_deserialize_any;

use super::tree::{Entry, Kind, Node, Step};

/// Why a part could not be read, and the way to it (innermost step first).
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) message: String,
    pub(super) way: Vec<Step>,
}

impl Unread {
    fn at(mut self, step: Step) -> Self {
        self.way.push(step);
        self
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Unread {}

impl de::Error for Unread {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), way: Vec::new() }
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match &self.kind {
            Kind::Table(entries) => visitor.visit_map(Table { rest: entries.iter(), value: None }),
            Kind::List(items) => visitor.visit_seq(List { rest: items.iter() }),
            Kind::Text(text) => visitor.visit_borrowed_str(text),
            Kind::Whole(n) => visitor.visit_i64(*n),
            Kind::Number(n) => visitor.visit_f64(*n),
            Kind::Truth(truth) => visitor.visit_bool(*truth),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        match &self.kind {
            Kind::Text(text) => {
                let named: StrDeserializer<'_, Unread> = text.as_str().into_deserializer();
                named.deserialize_enum(name, variants, visitor)
            }
            Kind::Table(entries) => {
                let table = Table { rest: entries.iter(), value: None };
                MapAccessDeserializer::new(table).deserialize_enum(name, variants, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Table<'de> {
    rest: std::collections::btree_map::Iter<'de, String, Entry>,
    value: Option<(&'de str, &'de Node)>,
}

impl<'de> de::MapAccess<'de> for Table<'de> {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unread> {
        let Some((name, entry)) = self.rest.next() else { return Ok(None) };
        self.value = Some((name, &entry.node));
        let key: StrDeserializer<'de, Unread> = name.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|e| e.at(Step::Key(name.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unread> {
        let (name, node) = self.value.take().expect("serde asks for a key before its value");
        seed.deserialize(node).map_err(|e| e.at(Step::Key(name.to_owned())))
    }
}

struct List<'de> {
    rest: std::slice::Iter<'de, (usize, Node)>,
}

impl<'de> de::SeqAccess<'de> for List<'de> {
    type Error = Unread;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unread> {
        let Some((at, node)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|e| e.at(Step::Index(*at)))
    }
}

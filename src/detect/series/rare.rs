//! What hardly any series has at a time, in the room of one pointer for all of it.

use std::ops::{Deref, DerefMut};

use super::{Episode, Expiring};
use crate::detect::habit::Habit;
use crate::detect::usual::Usual;

/// Nothing, or some of the [`Slots`]: changing one makes room for them all, and [`Rare::tidy`] gives it
/// back.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare(Option<Box<Slots>>);

/// Episodes under way, and what is known of those before.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    pub(super) departure: Option<Box<Episode>>,
    pub(super) still: Option<Box<Episode>>,
    pub(super) filling: Option<Box<Episode>>,
    /// The end that its value names, where it is near.
    pub(super) expiring: Option<Box<Expiring>>,
    /// How often it left its band before.
    pub(super) usual: Option<Box<Usual>>,
    /// How it departs in time, once it has.
    pub(super) habit: Option<Box<Habit>>,
}

static NONE: Slots =
    Slots { departure: None, still: None, filling: None, expiring: None, usual: None, habit: None };

impl Deref for Rare {
    type Target = Slots;
    fn deref(&self) -> &Slots {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Rare {
    fn deref_mut(&mut self) -> &mut Slots {
        self.0.get_or_insert_default()
    }
}

impl From<Slots> for Rare {
    fn from(slots: Slots) -> Self {
        let mut rare = Self(Some(Box::new(slots)));
        rare.tidy();
        rare
    }
}

impl Rare {
    /// Gives the room back where nothing is in it.
    pub(super) fn tidy(&mut self) {
        let is_empty = |s: &Slots| {
            let episodes = [&s.departure, &s.still, &s.filling];
            episodes.into_iter().all(Option::is_none)
                && s.expiring.is_none()
                && s.usual.is_none()
                && s.habit.is_none()
        };
        if self.0.as_deref().is_some_and(is_empty) {
            self.0 = None;
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let Some(slots) = &self.0 else { return 0 };
        let Slots { departure, still, filling, expiring, usual, habit } = &**slots;
        let episodes = [departure, still, filling].into_iter().flatten().count();
        size_of::<Slots>()
            + episodes * size_of::<Episode>()
            + expiring.as_ref().map_or(0, |_| size_of::<Expiring>())
            + usual.as_ref().map_or(0, |_| size_of::<Usual>())
            + habit.as_ref().map_or(0, |h| size_of::<Habit>() + h.heap_bytes())
    }
}

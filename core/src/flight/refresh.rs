//! Refreshing an entry while others are served the stale one: one caller at a time, and none for a
//! while after a failure.

use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;

use super::{Flight, Flights, id, lead, still};
use crate::clock::Moment;
use crate::freshness::Freshness;
use crate::lookup::Lookup;
use crate::protection::Protection;

/// What a caller does that has found a stale entry.
#[derive(Debug)]
pub(crate) enum Refresh {
    /// Render.
    Lead(Arc<Flight>),
    /// Serve the stale entry: another caller is rendering.
    Led,
    /// Serve the stale entry: no caller tries before this time.
    BackingOff(Moment),
}

impl Flights {
    /// Leads a new flight to refresh an entry that others are served stale, unless another caller
    /// is refreshing it or a refresh failed a short while ago.
    pub(crate) fn lead_refresh(
        &self,
        lookup: &Lookup<'_>,
        fresh: &Freshness,
        now: Moment,
    ) -> Refresh {
        let id = id(&lookup.request);
        if let Some(until) = still(&self.resting, id, now) {
            return Refresh::BackingOff(until);
        }
        let mut under_way = self.under_way.lock();
        match under_way.entry(id) {
            MapEntry::Vacant(place) => Refresh::Lead(Arc::clone(place.insert(lead(lookup, fresh)))),
            MapEntry::Occupied(mut place) => {
                let flight = place.get();
                let same_key = flight.key[..] == *lookup.request.hashed.key;
                let is_led = fresh.holds(&flight.labels, None, flight.read)
                    && self.protections.keep(Protection::OneRefresher);
                if is_led || !same_key {
                    return Refresh::Led;
                }
                let flight = lead(lookup, fresh);
                place.insert(Arc::clone(&flight));
                Refresh::Lead(flight)
            }
        }
    }

    /// Pauses refreshes of this entry until then.
    pub(crate) fn back_off(&self, flight: &Flight, until: Moment) {
        self.resting.lock().put(flight.id, until);
    }
}

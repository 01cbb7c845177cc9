//! The far level: the protocol that makes fragments trustworthy in a store that knows nothing of
//! them. Stores themselves are in [`store`](crate::store).

mod settings;

pub use settings::FarLevel;

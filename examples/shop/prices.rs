//! A price change: a transaction, and an invalidation after its commit.

use fragcache::{FragmentCache, Invalidation};

use crate::database::Database;

/// Sets a film's price and records the change; `None` if there is no such film. After that, every
/// fragment that shows the film is rendered again, and no other, in every process that shares the
/// cache's store. If the invalidation could not be published to the store, the result is
/// [`Invalidation::Pending`], and the cache publishes it when it can.
///
/// # Errors
///
/// Returns the database's errors. Then nothing has changed, and nothing is rendered again.
pub fn change_price(
    database: &Database,
    cache: &FragmentCache,
    film: i64,
    cents: i64,
) -> anyhow::Result<Option<Invalidation>> {
    let mut batch = cache.batch();
    let found = database.transaction(|transaction| {
        let changed = transaction.execute(
            "UPDATE products SET price_cents = ?2, revision = revision + 1 WHERE id = ?1",
            [film, cents],
        )?;
        if changed == 0 {
            return Ok(false);
        }
        // One tag covers every place that shows the film: its card, its page, and
        // all that contain them.
        batch.invalidate_tags([format!("product:{film}")])?;
        transaction.execute(
            "INSERT INTO price_changes (product_id, price_cents) VALUES (?1, ?2)",
            [film, cents],
        )?;
        Ok(true)
    })?;
    // Apply after the commit: before it, another request would render and store the old price. If
    // the transaction fails, the batch is dropped and nothing is invalidated.
    let told = batch.apply();
    Ok(found.then_some(told))
}

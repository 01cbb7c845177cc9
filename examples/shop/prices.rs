//! A price change: a transaction, and what the cache is told after its commit.

use fragcache::{FragmentCache, Invalidation};

use crate::database::Database;

/// Sets a film's price and notes the change; `None` if there is no such film. Whatever shows the film
/// is rendered anew from then on, and nothing else: in every process that shares the cache's store,
/// unless the store could not be told. That is [`Invalidation::Pending`]: it is told when it can be.
///
/// # Errors
///
/// The database's; nothing has changed then, and nothing is rendered anew.
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
        // One tag, wherever the film is shown: its card, its page, and all that is around them.
        batch.invalidate_tags([format!("product:{film}")])?;
        transaction.execute(
            "INSERT INTO price_changes (product_id, price_cents) VALUES (?1, ?2)",
            [film, cents],
        )?;
        Ok(true)
    })?;
    // After the commit: before it, another request would render the old price and store it. If the
    // transaction fails, the batch is dropped, and nothing was invalidated.
    let told = batch.apply();
    Ok(found.then_some(told))
}

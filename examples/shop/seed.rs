//! The initial data: tables, the products of the fixture, and users, orders and
//! reviews derived from them by arithmetic. Every start on every machine has the
//! same shop. Only the secret behind the form tokens is random.

use anyhow::Context as _;
use rusqlite::{Connection, TransactionBehavior};

const PRODUCTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/shop/products.csv");

const SCHEMA: &str = "
    CREATE TABLE site (form_secret TEXT NOT NULL);
    INSERT INTO site VALUES (hex(randomblob(16)));
    CREATE TABLE products (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, original_name TEXT NOT NULL,
        maker TEXT NOT NULL, category TEXT NOT NULL, languages TEXT NOT NULL,
        countries TEXT NOT NULL, year INTEGER NOT NULL, minutes INTEGER NOT NULL,
        price_cents INTEGER NOT NULL, revision INTEGER NOT NULL DEFAULT 1);
    CREATE TABLE price_changes (
        id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL, price_cents INTEGER NOT NULL);
    CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, day TEXT NOT NULL);
    CREATE TABLE order_lines (
        order_id INTEGER NOT NULL, product_id INTEGER NOT NULL, quantity INTEGER NOT NULL,
        price_cents INTEGER NOT NULL, PRIMARY KEY (order_id, product_id)) WITHOUT ROWID;
    CREATE TABLE reviews (
        id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL, author TEXT NOT NULL,
        stars INTEGER NOT NULL, text TEXT NOT NULL);
    CREATE INDEX orders_by_user ON orders (user_id);
    CREATE INDEX lines_by_product ON order_lines (product_id);
    CREATE INDEX reviews_by_product ON reviews (product_id);";

const USERS: [&str; 8] = [
    "Ada Lovelace",
    "Edsger O'Neill",
    "Grace & Co",
    "Katherine Ito",
    "Ngũgĩ Wanjiru",
    "Seán Byrne",
    "Tove Åkesson",
    "Zoë Müller",
];

/// The text of a review, by stars.
const OPINIONS: [&str; 5] = [
    "I left before the end.",
    "Long, and I felt it.",
    "Fine for a rainy evening.",
    "Stays with you for days.",
    "Watched it twice in one week.",
];

/// A product in every user's first order, "Asako I & II": markup and plain text
/// spell it differently.
const BESTSELLER: i64 = 385;

/// Number of users; their ids begin at 1.
pub(crate) const USER_COUNT: i64 = USERS.len() as i64;

/// Fills an empty database, and leaves any other unchanged. If several processes
/// start together, one of them fills it.
pub(crate) fn fill(connection: &mut Connection) -> anyhow::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    // Query under the lock: what the connection read before may be outdated.
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'site'";
    if transaction.query_row(tables, [], |row| row.get::<_, i64>(0))? > 0 {
        return Ok(());
    }
    transaction.execute_batch(SCHEMA)?;
    let products = add_products(&transaction)?;
    add_users_and_orders(&transaction, products)?;
    add_reviews(&transaction, products)?;
    transaction.commit()?;
    Ok(())
}

/// Adds the fixture's products. Returns their number.
fn add_products(connection: &Connection) -> anyhow::Result<i64> {
    let mut reader =
        csv::Reader::from_path(PRODUCTS).with_context(|| format!("cannot read {PRODUCTS}"))?;
    let mut insert = connection
        .prepare("INSERT INTO products VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)")?;
    let mut count = 0;
    for record in reader.records() {
        // The columns are of type INTEGER or TEXT, so SQLite parses the numbers.
        insert.execute(rusqlite::params_from_iter(record?.iter()))?;
        count += 1;
    }
    anyhow::ensure!(count > 0, "there are no products in {PRODUCTS}");
    Ok(count)
}

fn add_users_and_orders(connection: &Connection, products: i64) -> anyhow::Result<()> {
    let mut user = connection.prepare("INSERT INTO users VALUES (?1, ?2)")?;
    let mut order = connection.prepare("INSERT INTO orders VALUES (?1, ?2, ?3)")?;
    let mut line = connection.prepare(
        "INSERT OR IGNORE INTO order_lines SELECT ?1, id, ?3, price_cents FROM products WHERE id = ?2",
    )?;
    let mut order_id = 0;
    for (user_id, name) in (1..).zip(USERS) {
        user.execute((user_id, name))?;
        for number in 0..2 + pick(user_id, 3) {
            order_id += 1;
            if number == 0 {
                line.execute((order_id, BESTSELLER, 1))?;
            }
            let day = format!("2024-{:02}-{:02}", 1 + pick(order_id, 12), 1 + pick(-order_id, 28));
            order.execute((order_id, user_id, day))?;
            for number in 0..1 + pick(order_id * 3, 4) {
                let seed = order_id * 16 + number;
                line.execute((order_id, 1 + pick(seed, products), 1 + pick(seed * 5, 2)))?;
            }
        }
    }
    Ok(())
}

fn add_reviews(connection: &Connection, products: i64) -> anyhow::Result<()> {
    let mut insert = connection
        .prepare("INSERT INTO reviews (product_id, author, stars, text) VALUES (?1, ?2, ?3, ?4)")?;
    for product_id in 1..=products {
        for number in 0..pick(product_id, 6) {
            let seed = product_id * 8 + number;
            let opinion = pick(seed * 7, 5);
            let author = USERS[usize::try_from(pick(seed, USER_COUNT))?];
            let text = OPINIONS[usize::try_from(opinion)?];
            insert.execute((product_id, author, opinion + 1, text))?;
        }
    }
    Ok(())
}

/// A pseudorandom number below `bound`, determined by `seed`.
fn pick(seed: i64, bound: i64) -> i64 {
    let mixed = seed.wrapping_mul(0x2545_F491_4F6C_DD1D);
    (mixed ^ (mixed >> 29)).rem_euclid(bound)
}

//! Methods, associated functions, and methods of traits.

use std::collections::HashMap;
use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use fragcache::FragmentCache;
use fragcache::memoize;
use fragcache::memoize::Function;

struct Account {
    cache: FragmentCache,
    id: u32,
    ran: AtomicU32,
}

impl Account {
    fn new(cache: &FragmentCache, id: u32) -> Self {
        Self { cache: cache.clone(), id, ran: AtomicU32::new(0) }
    }

    #[memoize(cache = self.cache, of = Account, identity: u32 = self.id)]
    fn balance(&self, currency: &str) -> String {
        self.ran.fetch_add(1, SeqCst);
        format!("{} {currency}", self.id)
    }

    #[memoize(cache = cache, of = Account)]
    fn named(cache: &FragmentCache, name: &str) -> Option<u32> {
        name.len().try_into().ok()
    }

    #[memoize(cache = self.cache, name = "rates", ignore(self))]
    fn rate(&self, currency: &str) -> u32 {
        self.ran.fetch_add(1, SeqCst);
        currency.len().try_into().unwrap_or(0)
    }
}

#[test]
fn a_method_of_one_instance_is_deleted_and_not_the_others() {
    let cache = FragmentCache::in_memory();
    let accounts = [1, 2].map(|id| Account::new(&cache, id));
    let ask = || {
        for account in &accounts {
            assert_eq!(account.balance("eur"), format!("{} eur", account.id));
            assert_eq!(account.balance("usd"), format!("{} usd", account.id));
        }
        accounts.each_ref().map(|account| account.ran.load(SeqCst))
    };
    assert_eq!(ask(), [2, 2]);
    assert_eq!(ask(), [2, 2]);
    cache.delete_memoized(Account::balance_memo(1, "eur")).unwrap().eventually();
    assert_eq!(ask(), [3, 2]);
    cache.delete_memoized(Account::balance_memo_of(1)).unwrap().eventually();
    assert_eq!(ask(), [5, 2]);
    cache.delete_memoized(Account::BALANCE_MEMO).unwrap().eventually();
    assert_eq!(ask(), [7, 4]);
    assert_eq!(accounts[0].balance_uncached("eur"), "1 eur");
    assert_eq!(accounts[0].ran.load(SeqCst), 8);
    assert_eq!(Account::BALANCE_MEMO.name(), "it::methods::Account::balance");
}

#[test]
fn an_equal_identity_is_the_same_instance() {
    let cache = FragmentCache::in_memory();
    let twins = [Account::new(&cache, 7), Account::new(&cache, 7)];
    assert_eq!(twins[0].balance("eur"), twins[1].balance("eur"));
    assert_eq!(twins[1].ran.load(SeqCst), 0);
}

#[test]
fn functions_of_types_and_methods_without_an_instance() {
    let cache = FragmentCache::in_memory();
    assert_eq!(Account::named(&cache, "ann"), Account::named(&cache, "ann"));
    cache.delete_memoized(Account::named_memo("ann")).unwrap().eventually();
    assert_eq!(Account::NAMED_MEMO.name(), "it::methods::Account::named");
    let accounts = [1, 2].map(|id| Account::new(&cache, id));
    assert_eq!((accounts[0].rate("eur"), accounts[1].rate("eur")), (3, 3));
    assert_eq!(accounts[1].ran.load(SeqCst), 0);
    cache.delete_memoized(Account::rate_memo("eur")).unwrap().eventually();
    assert_eq!(accounts[1].rate("eur"), 3);
    assert_eq!(accounts[1].ran.load(SeqCst), 1);
}

/// A method of a generic type. Each instantiation has its own results, although they share a name.
struct Repo<T> {
    cache: FragmentCache,
    of: PhantomData<T>,
}

impl<T: Default + Display> Repo<T> {
    fn new(cache: &FragmentCache) -> Self {
        Self { cache: cache.clone(), of: PhantomData }
    }

    #[memoize(cache = self.cache, of = Repo, ignore(self))]
    fn first(&self) -> String {
        T::default().to_string()
    }

    #[memoize(cache = cache, of = Repo)]
    fn one(cache: &FragmentCache) -> String {
        T::default().to_string()
    }
}

#[test]
fn types_of_types_never_have_each_others_results() {
    let cache = FragmentCache::in_memory();
    let (numbers, flags) = (Repo::<u32>::new(&cache), Repo::<bool>::new(&cache));
    for _ in 0..2 {
        assert_eq!((numbers.first(), flags.first()), ("0".to_owned(), "false".to_owned()));
        assert_eq!(Repo::<u32>::one(&cache), "0");
        assert_eq!(Repo::<bool>::one(&cache), "false");
    }
    assert_eq!(cache.stats().hits, 4);
    // Deletion reaches all instantiations.
    cache.delete_memoized(Repo::<u32>::FIRST_MEMO).unwrap().eventually();
    assert!(!cache.contains(&Repo::<bool>::first_memo().key().unwrap()).unwrap());
}

const PRICE: Function = Function::new("it::Shop::price");

trait Shop {
    fn price(&self, product: u32) -> Result<u32, String>;
    async fn stock(&self, product: u32) -> Result<u32, String>;
    fn seen(&self) -> u32;
}

struct Sqlite {
    cache: FragmentCache,
    file: String,
    prices: Mutex<HashMap<u32, u32>>,
    ran: AtomicU32,
}

impl Shop for Sqlite {
    #[memoize(cache = self.cache, name = PRICE.name(), identity: &str = &self.file, no_handles)]
    fn price(&self, mut product: u32) -> Result<u32, String> {
        self.ran.fetch_add(1, SeqCst);
        product += 0;
        let prices = self.prices.lock().map_err(|error| error.to_string())?;
        if product == 0 {
            return Err("no product".to_owned());
        }
        Ok(*prices.get(&product).ok_or("unknown")?)
    }

    #[memoize(cache = self.cache, name = "it::Shop::stock", identity: &str = &self.file, no_handles)]
    async fn stock(&self, product: u32) -> Result<u32, String> {
        self.ran.fetch_add(1, SeqCst);
        tokio::task::yield_now().await;
        if product == 0 {
            return Err("no product".to_owned());
        }
        Ok(self.prices.lock().map_err(|error| error.to_string())?.len().try_into().unwrap_or(0))
    }

    fn seen(&self) -> u32 {
        self.ran.load(SeqCst)
    }
}

#[test]
fn a_method_of_a_trait_is_deleted_by_its_name() {
    let cache = FragmentCache::in_memory();
    let shop = Sqlite {
        cache: cache.clone(),
        file: "shop.db".to_owned(),
        prices: Mutex::new(HashMap::from([(7, 70)])),
        ran: AtomicU32::new(0),
    };
    assert_eq!((shop.price(7), shop.price(7), shop.seen()), (Ok(70), Ok(70), 1));
    assert_eq!(shop.price(0), Err("no product".to_owned()));
    assert_eq!(shop.price(1), Err("unknown".to_owned()));
    cache.delete_memoized(PRICE.of("shop.db").call().arg(&7_u32)).unwrap().eventually();
    assert_eq!((shop.price(7), shop.seen()), (Ok(70), 4));

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert_eq!((shop.stock(7).await, shop.stock(7).await), (Ok(1), Ok(1)));
        assert_eq!(shop.seen(), 5);
        assert!(shop.stock(0).await.is_err());
        cache.delete_memoized(Function::new("it::Shop::stock")).unwrap().eventually();
        assert_eq!((shop.stock(7).await, shop.seen()), (Ok(1), 7));
    });
}
